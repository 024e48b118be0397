"""The Litestar application."""

from collections.abc import Sequence
from importlib.metadata import version

from litestar import Litestar
from litestar.datastructures import State
from litestar.middleware import ASGIMiddleware
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import SwaggerRenderPlugin
from litestar.openapi.spec import Components, Schema, SecurityScheme
from litestar.types import ASGIApp

from orderfleet.domain.currencies import WHOLE, WHOLE_PRICE_PATTERN
from orderfleet.domain.orders import Address, Item, NewAddress, NewItem
from orderfleet_api import assets, errors
from orderfleet_api.backends import Backends
from orderfleet_api.event_stream import EventStreams
from orderfleet_api.health import health
from orderfleet_api.middleware.heads import checked
from orderfleet_api.middleware.limits import MAX_BODY_BYTES
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
        plugins=[errors.PLUGIN],
        exception_handlers=errors.HANDLERS,
        request_max_body_size=MAX_BODY_BYTES,
        openapi_config=_openapi(secured=bool(keys)),
        logging_config=None,
    )
    _forbid_unknown_fields(app)
    _tell_whole_prices(app)
    return checked(app, backends.settings)


def _forbid_unknown_fields(app: Litestar) -> None:
    """Say in the OpenAPI document what msgspec does; the framework's schemas leave it out."""
    bodies = (OrderRequest, CancelRequest, AddressRequest, ReviewRequest)
    for struct in (*bodies, NewAddress, NewItem, Address, Item):
        app.openapi_schema.components.schemas[struct.__name__].additional_properties = False


def _tell_whole_prices(app: Litestar) -> None:
    """Say in the OpenAPI document that some currencies have no parts."""
    price = Schema(pattern=WHOLE_PRICE_PATTERN)
    order = app.openapi_schema.components.schemas[OrderRequest.__name__]
    order.schema_if = Schema(properties={"currency": Schema(enum=WHOLE)}, required=["currency"])
    order.then = Schema(properties={"items": Schema(items=Schema(properties={"price": price}))})


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
