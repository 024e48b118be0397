"""The life of a process: start, run, drain on SIGTERM, exit.

The SDK installs no signal handler, and without a handler SIGTERM does not even end a process that
is PID 1 of a container.
"""

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Final, NoReturn

import structlog
import uvloop
from temporalio.service import RPCError

from orderfleet.environment import SettingsError

log = structlog.stdlib.get_logger(__name__)

# Beyond the drain: worker shutdown, flushing telemetry, closing connections.
_HARD_LIMIT_EXTRA: Final = 5.0
# Until a process has started, these mean that a dependency did not come up, a port is in use or a
# setting is unusable. Later they are unexpected, like any other error.
_START_ERRORS: Final = (OSError, RPCError, SettingsError)
_WRONG_SETTING: Final = 2


class Lifecycle:
    """Where a process is in its life; `ready` is the answer to its readiness probe."""

    def __init__(self) -> None:
        self.stopping = asyncio.Event()
        self.started = False
        self._stopped_at: float | None = None

    @property
    def ready(self) -> bool:
        """Whether the process takes work: it has started and is not asked to shut down."""
        return self.started and not self.stopping.is_set()

    @property
    def draining_seconds(self) -> float | None:
        """The time since the request to shut down; None before it."""
        return None if self._stopped_at is None else time.monotonic() - self._stopped_at

    def request_shutdown(self) -> None:
        """Ask the process to shut down."""
        self._stopped_at = time.monotonic()
        self.stopping.set()


def run_service(
    name: str, serve: Callable[[Lifecycle], Awaitable[None]], *, drain: float
) -> NoReturn:
    """Run `serve` until it returns, which it does soon after `stopping` is set; then exit.

    The exit status is 0 after a requested shutdown; 1 with one line if a dependency did not come
    up, 2 if a setting turned out to be wrong; 1 with a traceback in the log after any other error.
    The process ends at most `drain` and 5 s after a signal.
    """
    status = 1
    try:
        # uvloop takes 12 % off the CPU of an order in Python, and 15 % off that of a request.
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            status = runner.run(_run(name, serve, drain))
    except Exception:
        log.exception("unexpected error")
    # The SDK's threads outlive its client. A thread that calls into Python while the interpreter
    # finalizes aborts the process, up to once in ten exits (temporalio/sdk-python issue 300).
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


async def _run(name: str, serve: Callable[[Lifecycle], Awaitable[None]], drain: float) -> int:
    """Run `serve` and return the exit status."""
    loop = asyncio.get_running_loop()
    lifecycle = Lifecycle()
    serving = asyncio.ensure_future(serve(lifecycle))

    def stop(received: signal.Signals) -> None:
        if lifecycle.stopping.is_set():
            return
        log.info("stopping", signal=received.name)
        lifecycle.request_shutdown()
        loop.call_later(drain + _HARD_LIMIT_EXTRA, os._exit, 1)
        if not lifecycle.started:
            serving.cancel()

    for received in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(received, stop, received)
    try:
        await serving
    except asyncio.CancelledError:
        if not lifecycle.stopping.is_set():
            raise
    except _START_ERRORS as error:
        if lifecycle.started:
            raise
        print(f"{name}: {error}", file=sys.stderr)
        return _WRONG_SETTING if isinstance(error, SettingsError) else 1
    log.info("stopped")
    return 0
