"""The Litestar application."""

from importlib.metadata import version

from litestar import Litestar
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import SwaggerRenderPlugin

from orderfleet_api import problems
from orderfleet_api.backends import Backends
from orderfleet_api.routes import ROUTER

# No order comes near it: a hundred items of three full lines are 60 kB.
MAX_BODY_BYTES = 128 * 1024


def create_app(backends: Backends) -> Litestar:
    """Build the application on open connections."""
    return Litestar(
        route_handlers=[ROUTER],
        dependencies={"backends": Provide(lambda: backends, sync_to_thread=False)},
        plugins=[problems.PLUGIN],
        exception_handlers=problems.HANDLERS,
        request_max_body_size=MAX_BODY_BYTES,
        openapi_config=OpenAPIConfig(
            title="Orderfleet",
            version=version("orderfleet-api"),
            path="/docs",
            render_plugins=[SwaggerRenderPlugin()],
        ),
        logging_config=None,
    )
