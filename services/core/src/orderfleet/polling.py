"""Call until the result is enough, or until the call succeeds, or until the time is over.

Not stamina: it retries on exceptions only, and a timeout of 0 means no timeout.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Final, TypeVar

T = TypeVar("T")

_PAUSE: Final = 0.1


async def poll(
    call: Callable[[], Awaitable[T]],
    enough: Callable[[T], object] = bool,
    *,
    seconds: float,
    pause: float = _PAUSE,
    longest_pause: float | None = None,
    on_miss: Callable[[T], object] = lambda _: None,
) -> T:
    """Call until the result is enough or the time is over; return the last result.

    Args:
        call: made once at least.
        enough: whether a result is enough; by default any true result.
        seconds: how long. A call under way is not cut off; none begins later.
        pause: between two calls.
        longest_pause: with it, the pause doubles up to this.
        on_miss: called with each result that another call will follow.
    """
    pauses = _pauses(time.monotonic() + seconds, pause, longest_pause or pause)
    while not enough(result := await call()) and (until_next := next(pauses, None)) is not None:
        on_miss(result)
        await asyncio.sleep(until_next)
    return result


async def retry(
    call: Callable[[], Awaitable[T]],
    *,
    on: type[Exception] | tuple[type[Exception], ...],
    seconds: float,
    pause: float = _PAUSE,
    longest_pause: float | None = None,
    on_failure: Callable[[Exception], object] = lambda _: None,
) -> T:
    """Call until it succeeds; raise its error if it is not of `on` or the time is over.

    Args:
        call: made once at least.
        on: the errors after which it is repeated.
        seconds: how long. A call under way is not cut off; none begins later.
        pause: between two calls.
        longest_pause: with it, the pause doubles up to this.
        on_failure: called with each error that another call will follow.
    """
    pauses = _pauses(time.monotonic() + seconds, pause, longest_pause or pause)
    while True:
        try:
            return await call()
        except on as error:
            if (until_next := next(pauses, None)) is None:
                raise
            on_failure(error)
        await asyncio.sleep(until_next)


def _pauses(deadline: float, pause: float, longest: float) -> Iterator[float]:
    """Yield each pause, as long as it ends before the deadline."""
    while time.monotonic() + pause <= deadline:
        yield pause
        pause = min(pause * 2, longest)
