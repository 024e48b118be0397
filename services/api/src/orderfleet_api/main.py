"""The API: one granian worker in this process, as Python is one core; scale by replicas."""

import asyncio
import socket
import sys
from functools import partial
from importlib import import_module

import structlog
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server
from litestar.types import ASGIApp

from orderfleet.client import connect
from orderfleet.probes import serve_probes
from orderfleet.service import Life, run_service
from orderfleet.settings import start
from orderfleet.store.pool import open_pool
from orderfleet.telemetry.core_metrics import CoreMetrics
from orderfleet.telemetry.database import DatabaseMetrics
from orderfleet.telemetry.logs import configure_logs
from orderfleet.telemetry.metrics import make_registry, render
from orderfleet.telemetry.traces import configure_traces
from orderfleet_api.app import create_app
from orderfleet_api.backends import Backends
from orderfleet_api.backlog import fleet_gauges
from orderfleet_api.limits import HEADER_SECONDS, MAX_HEADER_BYTES
from orderfleet_api.metrics import ApiMetrics
from orderfleet_api.settings import ApiSettings

# A busy Temporal is asked again after 1 s, then 2 s, 4 s, ...: with 3 s in all, a client that went
# on would never say that it is busy and not away.
RETRIES = 2

log = structlog.stdlib.get_logger(__name__)


def main() -> None:
    """Serve until SIGTERM."""
    settings = start(ApiSettings, "orderfleet-api")
    configure_logs(
        settings.log_level, settings.log_format, service="api", traced=bool(settings.spans_by)
    )
    _check_free(settings.api_host, settings.api_port)
    run_service("orderfleet-api", lambda life: serve(settings, life), drain=settings.drain_seconds)


async def serve(settings: ApiSettings, life: Life) -> None:
    """Answer requests; at the end take no new ones and finish those under way.

    Neither Postgres nor Temporal is waited for: without them the answer is 503.
    """
    core = CoreMetrics()
    registry = make_registry("orderfleet-api", life, drain_seconds=settings.drain_seconds)
    metrics = ApiMetrics(registry)
    database = DatabaseMetrics(registry)
    async with (
        configure_traces(settings, service="orderfleet-api") as traces,
        open_pool(
            settings.database_url,
            size=settings.database_pool_size,
            wait_seconds=0,
            lazy=True,
            connection_class=database.timed(traces.connection_class),
        ) as pool,
    ):
        database.watch(pool)
        client = await connect(
            settings, runtime=core.runtime, lazy=True, retries=RETRIES, plugins=traces.plugins
        )
        # By name, as it imports OpenTelemetry.
        spans = [import_module("orderfleet_api.tracing").RequestSpans()] if traces.on else []
        app = create_app(Backends(pool, client, settings, life.stopping, metrics), spans)
        probes = serve_probes(
            settings.probe_host,
            settings.probe_port,
            ready=lambda: life.ready,
            metrics=partial(render, registry, core),
        )
        async with fleet_gauges(registry, pool, client, settings):
            with probes:
                await _serve_http(metrics.measured(app), settings, life)


async def _serve_http(app: ASGIApp, settings: ApiSettings, life: Life) -> None:
    server = Server(
        app,
        address=settings.api_host,
        port=settings.api_port,
        interface=Interfaces.ASGI,
        http1_settings=HTTP1Settings(
            header_read_timeout=HEADER_SECONDS * 1000, max_buffer_size=MAX_HEADER_BYTES
        ),
        http=HTTPModes.http1,
        websockets=False,
        log_enabled=False,
    )
    serving = asyncio.create_task(server.serve())
    stopping = asyncio.create_task(life.stopping.wait())
    try:
        await _listening(settings.api_host, settings.api_port, serving)
        life.started = True
        log.info("serving", host=settings.api_host, port=settings.api_port)
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        server.stop()  # type: ignore[no-untyped-call]  # granian has no annotation there
        await serving


async def _listening(host: str, port: int, serving: asyncio.Task[None]) -> None:
    """Wait until the server takes connections: it does not say when, and ready means that."""
    while not serving.done():
        try:
            _, writer = await asyncio.open_connection(host, port)
        except OSError:
            await asyncio.sleep(0.01)
        else:
            writer.close()
            return


def _check_free(host: str, port: int) -> None:
    """Exit 1 if the port is taken: granian would share it with whoever else shares it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            print(f"orderfleet-api: {host}:{port}: {error.strerror}", file=sys.stderr)
            raise SystemExit(1) from None


if __name__ == "__main__":
    main()
