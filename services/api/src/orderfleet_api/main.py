"""The API: one granian worker in this process, as Python is one core; scale by replicas."""

import asyncio
import gc
import socket
import sys
from importlib import import_module
from typing import Final

import structlog
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server
from litestar.types import ASGIApp

from orderfleet.client import connect
from orderfleet.probes import serve_probes
from orderfleet.service import Life, run_service
from orderfleet.settings import start
from orderfleet.telemetry.logs import configure_logs
from orderfleet.telemetry.process import observed
from orderfleet_api.app import create_app
from orderfleet_api.backends import Backends
from orderfleet_api.backlog import fleet_gauges
from orderfleet_api.limits import HEADER_SECONDS, MAX_HEADER_BYTES, limited
from orderfleet_api.metrics import ApiMetrics
from orderfleet_api.settings import ApiSettings

PROGRAM: Final = "orderfleet-api"
# A busy Temporal is asked again after 1 s, then 2 s, 4 s, ...: with 3 s in all, a client that went
# on would never say that it is busy and not away.
RETRIES: Final = 2

log = structlog.stdlib.get_logger(__name__)


def main() -> None:
    """Serve until SIGTERM."""
    settings = start(ApiSettings, PROGRAM)
    configure_logs(
        settings.log_level, settings.log_format, service="api", traced=bool(settings.spans_by)
    )
    _check_free(settings.api_host, settings.api_port)
    run_service(PROGRAM, lambda life: serve(settings, life), drain=settings.drain_seconds)


async def serve(settings: ApiSettings, life: Life) -> None:
    """Answer requests; at the end take no new ones and finish those under way.

    Neither Postgres nor Temporal is waited for: without them the answer is 503.
    """
    async with observed(settings, life, program=PROGRAM, lazy=True) as seen:
        client = await connect(
            settings,
            runtime=seen.core.runtime,
            lazy=True,
            retries=RETRIES,
            plugins=seen.traces.plugins,
        )
        metrics = ApiMetrics(seen.registry)
        # By name, as it imports OpenTelemetry.
        spans = [import_module("orderfleet_api.tracing").RequestSpans()] if seen.traces.on else []
        app = create_app(Backends(seen.pool, client, settings, life.stopping, metrics), spans)
        probes = serve_probes(
            settings.probe_host,
            settings.probe_port,
            ready=lambda: life.ready,
            metrics=seen.metrics,
        )
        async with fleet_gauges(seen.registry, seen.pool, client, settings):
            with probes:
                await _serve_http(metrics.measured(limited(app)), settings, life)


async def _serve_http(app: ASGIApp, settings: ApiSettings, life: Life) -> None:
    _collect_less()
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


def _collect_less() -> None:
    """Look for cycles seldom, and never in what is loaded by now: 5 % of a request's CPU."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 50)


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
            print(f"{PROGRAM}: {host}:{port}: {error.strerror}", file=sys.stderr)
            raise SystemExit(1) from None


if __name__ == "__main__":
    main()
