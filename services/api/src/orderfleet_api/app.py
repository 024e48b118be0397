"""The Litestar application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import version

from litestar import Litestar
from litestar.datastructures import State
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import SwaggerRenderPlugin

from orderfleet.client import connect
from orderfleet.probes import serve_probes
from orderfleet.store.pool import open_pool
from orderfleet.telemetry.logs import configure_logs
from orderfleet_api import problems
from orderfleet_api.backends import Backends
from orderfleet_api.routes import ROUTER
from orderfleet_api.settings import ApiSettings

# No order comes near it: a hundred items of three full lines are 60 kB.
MAX_BODY_BYTES = 128 * 1024


def create_app() -> Litestar:
    """Build the application from the environment; granian calls it in its worker."""
    settings = ApiSettings.from_env()
    configure_logs(settings.log_level, settings.log_format, service="api")
    return Litestar(
        route_handlers=[ROUTER],
        dependencies={"backends": Provide(_backends, sync_to_thread=False)},
        lifespan=[partial(_connected, settings)],
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


@asynccontextmanager
async def _connected(settings: ApiSettings, app: Litestar) -> AsyncIterator[None]:
    """Hold the connections while the application runs; neither is waited for at start."""
    async with open_pool(
        settings.database_url, size=settings.database_pool_size, wait_seconds=0, lazy=True
    ) as pool:
        client = await connect(settings, lazy=True)
        app.state.backends = Backends(pool, client, settings)
        with serve_probes(settings.probe_host, settings.probe_port, ready=lambda: True):
            yield


def _backends(state: State) -> Backends:
    found: Backends = state.backends
    return found
