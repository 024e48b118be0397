"""The HTTP server: uvicorn in this process, with its connections bounded, and its end in order."""

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

# A request that was on its way when the process was asked to stop has come by then.
_ON_THE_WAY_SECONDS: Final = 0.5
_SWEEP_SECONDS: Final = 1.0
_LOOK_SECONDS: Final = 0.05
# Descriptors beside the connections: the pool, Temporal, the internal port, those refused.
_OTHER_FILES: Final = 512


class _Server(uvicorn.Server):
    """uvicorn's server, which says when it listens and leaves the signals to the process."""

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
    """Answer requests until the process is asked to stop, and then those under way.

    Whoever asks meanwhile is served, and told to close its connection: for half of the drain at
    most, so that the other half is for what has begun.

    Raises:
        OSError: the port is taken.
    """
    # What it warns of are clients that speak no HTTP: they are counted.
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
            # What one request has bound for the log is not the next one's.
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
    await asyncio.sleep(_ON_THE_WAY_SECONDS)
    while server.server_state.tasks and loop.time() < until:  # noqa: ASYNC110 (uvicorn tells nobody)
        await asyncio.sleep(_LOOK_SECONDS)
    server.should_exit = True


@asynccontextmanager
async def _swept(connections: Connections) -> AsyncIterator[None]:
    """Close the connections of slow clients, until the block ends."""

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
    """Let the process open so many files if it may, and return how many; 1,024 are usual."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return needed
    allowed = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < needed:
        log.warning("few files may be open, so few connections", limit=allowed, wanted=needed)
    return allowed
