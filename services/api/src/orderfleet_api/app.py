"""The Litestar application."""

from collections.abc import Sequence
from importlib.metadata import version

from litestar import Litestar
from litestar.datastructures import State
from litestar.middleware import ASGIMiddleware
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import SwaggerRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from litestar.types import ASGIApp

from orderfleet.orders import Address, Item
from orderfleet_api import assets, problems
from orderfleet_api.backends import Backends
from orderfleet_api.events import EventStreams
from orderfleet_api.heads import checked
from orderfleet_api.health import health
from orderfleet_api.limits import MAX_BODY_BYTES
from orderfleet_api.requests import BACKENDS, STREAMS, RequireKey
from orderfleet_api.routes import orders_router
from orderfleet_api.schemas import AddressRequest, CancelRequest, OrderRequest, ReviewRequest


def create_app(backends: Backends, spans: Sequence[ASGIMiddleware] = ()) -> ASGIApp:
    """Build the application on open connections."""
    keys = backends.settings.keys
    passed = [*spans, RequireKey(keys)] if keys else spans
    app = Litestar(
        route_handlers=[
            orders_router(passed),
            health,
            assets.route(),
        ],
        state=State({BACKENDS: backends, STREAMS: EventStreams(backends)}),
        plugins=[problems.PLUGIN],
        exception_handlers=problems.HANDLERS,
        request_max_body_size=MAX_BODY_BYTES,
        openapi_config=_openapi(secured=bool(keys)),
        logging_config=None,
    )
    _forbid_unknown_fields(app)
    return checked(app, backends.settings)


def _forbid_unknown_fields(app: Litestar) -> None:
    """Say in the OpenAPI document what msgspec does; the framework's schemas leave it out."""
    for struct in (OrderRequest, CancelRequest, AddressRequest, ReviewRequest, Address, Item):
        app.openapi_schema.components.schemas[struct.__name__].additional_properties = False


def _openapi(*, secured: bool) -> OpenAPIConfig:
    scheme = SecurityScheme(type="http", scheme="bearer", description="An API key.")
    return OpenAPIConfig(
        title="Orderfleet",
        version=version("orderfleet-api"),
        description="Orders, fulfilled inside 15 seconds. Errors are application/problem+json.",
        path="/docs",
        use_handler_docstrings=True,
        render_plugins=[
            SwaggerRenderPlugin(
                js_url=f"{assets.PATH}/swagger-ui-bundle.js",
                css_url=f"{assets.PATH}/swagger-ui.css",
                standalone_preset_js_url=f"{assets.PATH}/swagger-ui-standalone-preset.js",
                favicon="<link rel='icon' href='data:,'>",
            )
        ],
        components=Components(security_schemes={"key": scheme}) if secured else Components(),
        security=[{"key": []}] if secured else None,
    )
