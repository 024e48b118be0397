"""The Litestar application."""

from collections.abc import Sequence

from litestar import Litestar
from litestar.types import ASGIApp, Middleware

from orderfleet.temporal.encryption import EncryptionCodec
from orderfleet_api import assets, board, error_handlers, openapi
from orderfleet_api.auth import ApiKeys, require_role
from orderfleet_api.backends import Backends
from orderfleet_api.codec import codec_requests, codec_routers
from orderfleet_api.dependencies import make_dependencies
from orderfleet_api.feed.routes import asyncapi_document
from orderfleet_api.health import health
from orderfleet_api.middleware.heads import checked
from orderfleet_api.middleware.limits import MAX_BODY_BYTES
from orderfleet_api.routes import orders_router


def create_app(
    backends: Backends, middleware: Sequence[Middleware] = (), keys: ApiKeys | None = None
) -> ASGIApp:
    """Build the application on open connections; by default with the settings' keys."""
    settings = backends.settings
    app: ASGIApp = create_routes(backends, middleware, keys)
    if settings.payload_keys_file:
        app = codec_requests(app, settings.codec_origin)
    return checked(app, settings)


def create_routes(
    backends: Backends, middleware: Sequence[Middleware] = (), keys: ApiKeys | None = None
) -> Litestar:
    """Build what is behind the checks of a request's head."""
    keys = keys or backends.settings.load_keys()
    secured = bool(keys.current())
    codec = backends.temporal.data_converter.payload_codec
    routers = []
    if backends.settings.payload_keys_file and isinstance(codec, EncryptionCodec):
        routers = codec_routers(require_role(keys.current), codec)
    # Without keys every caller has the roles of these routes; a guard costs 10 us.
    guards = [require_role(keys.current)] if secured else []
    app = Litestar(
        route_handlers=[
            orders_router(guards=guards, middleware=middleware),
            *routers,
            health,
            asyncapi_document,
            assets.route(),
            *board.routes(),
        ],
        dependencies=make_dependencies(backends),
        plugins=[error_handlers.PLUGIN],
        exception_handlers=error_handlers.HANDLERS,
        request_max_body_size=MAX_BODY_BYTES,
        openapi_config=openapi.config(secured=secured),
        logging_config=None,
    )
    openapi.complete(app, secured=secured)
    return app
