"""The HTTP server: uvicorn in this process, with bounded connections and a graceful end."""

import asyncio
import logging
import resource
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from math import ceil
from typing import Final

import structlog
import uvicorn
from litestar.types import ASGIApp

from orderfleet.runtime.listening import listen
from orderfleet.runtime.process import Lifecycle
from orderfleet_api.connections import Connections
from orderfleet_api.http_protocol import IDLE_SECONDS, HttpProtocol
from orderfleet_api.settings import ApiSettings

log = structlog.stdlib.get_logger(__name__)

# By then a request that was on its way at SIGTERM has arrived.
_IN_FLIGHT_SECONDS: Final = 0.5
_SWEEP_SECONDS: Final = 1.0
_POLL_SECONDS: Final = 0.05
# File descriptors beside the connections: pool, Temporal, internal port, refused connections.
_OTHER_FILES: Final = 512


class _Server(uvicorn.Server):
    """uvicorn's server, with an event for "it listens", and without its signal handlers."""

    def __init__(self, config: uvicorn.Config, connections: Connections) -> None:
        super().__init__(config)
        self.server_state = connections
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve_http(
    app: ASGIApp, settings: ApiSettings, lifecycle: Lifecycle, connections: Connections
) -> None:
    """Serve until the process is asked to stop, then finish the requests under way.

    New requests are still served meanwhile, for at most half of the drain, and their answers ask
    the client to close its connection. The other half is for what has begun.

    Raises:
        OSError: the port is taken.
    """
    # Its warnings are about clients that do not speak HTTP, which are counted.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    files = _raise_file_limit(settings.api_connections + _OTHER_FILES)
    connections.bulkhead.limit = min(
        settings.api_connections, max(files - _OTHER_FILES, files // 2)
    )
    with listen(settings.api_host, settings.api_port) as listener:
        config = uvicorn.Config(
            app,
            http=HttpProtocol,
            ws="none",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=IDLE_SECONDS,
            timeout_graceful_shutdown=ceil(settings.drain_seconds / 2),
            # What a request binds for its log lines must not be in those of the next.
            reset_contextvars=True,
        )
        server = _Server(config, connections)
        async with _swept(connections), asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(server.serve([listener]))
            tasks.create_task(_stop(server, settings, lifecycle))
            await server.listening.wait()
            lifecycle.started = True
            log.info("serving", host=settings.api_host, port=settings.api_port)
            await serving


async def _stop(server: _Server, settings: ApiSettings, lifecycle: Lifecycle) -> None:
    await lifecycle.stopping.wait()
    loop = asyncio.get_running_loop()
    until = loop.time() + settings.drain_seconds / 2
    await asyncio.sleep(_IN_FLIGHT_SECONDS)
    while server.server_state.tasks and loop.time() < until:  # noqa: ASYNC110 (uvicorn has no event for it)
        await asyncio.sleep(_POLL_SECONDS)
    server.should_exit = True


@asynccontextmanager
async def _swept(connections: Connections) -> AsyncIterator[None]:
    """Close the connections of slow clients until the block ends."""

    async def sweep() -> None:
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            connections.sweep()

    sweeping = asyncio.create_task(sweep())
    try:
        yield
    finally:
        sweeping.cancel()
        connections.failures.flush()


def _raise_file_limit(needed: int) -> int:
    """Raise the limit of open files, usually 1,024, as far as allowed; return the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return needed
    allowed = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < needed:
        log.warning(
            "the limit of open files also limits the connections", limit=allowed, wanted=needed
        )
    return allowed
