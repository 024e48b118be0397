"""Signs of life of an activity that runs, so that the server soon misses one whose worker died."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from temporalio import activity

from orderfleet.domain.policies import HEARTBEAT_INTERVAL


@contextmanager
def beating(beat: Callable[[float], None]) -> Iterator[None]:
    """Call `beat` with the seconds since the start, each interval while the block runs.

    The first call comes after the first interval: an activity that is done by then, as nearly all
    are, costs one entry in the loop's list of timers. One without a heartbeat timeout has no beats.
    """
    if activity.info().heartbeat_timeout is None:
        yield
        return
    loop = asyncio.get_running_loop()
    every = HEARTBEAT_INTERVAL.total_seconds()
    began = loop.time()
    timer: asyncio.TimerHandle

    def again() -> None:
        beat(loop.time() - began)
        wait()

    def wait() -> None:
        nonlocal timer
        timer = loop.call_later(every, again)

    wait()
    try:
        yield
    finally:
        timer.cancel()
