"""Run a command until its end or a signal: SIGINT, SIGTERM, SIGHUP."""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from orderfleet_cli.errors import StoppedError

T = TypeVar("T")

# A closed terminal sends SIGHUP: without a handler the children would go on running.
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run_until_signal(
    main: Coroutine[Any, Any, T],
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> T:
    """Run `main`; the first signal cancels it, later signals do not disturb its clean-up.

    Raises:
        StoppedError: a signal came.
    """
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(_run_until_signal(main))


async def _run_until_signal(main: Coroutine[Any, Any, T]) -> T:
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    task = asyncio.create_task(main)

    def stop() -> None:
        if not stopping.is_set():
            stopping.set()
            task.cancel()

    for number in _SIGNALS:
        loop.add_signal_handler(number, stop)
    try:
        return await task
    except asyncio.CancelledError:
        if stopping.is_set():
            raise StoppedError("stopped") from None
        raise
