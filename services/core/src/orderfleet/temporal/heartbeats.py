"""Heartbeats of a running activity, so that the server soon misses one whose worker died."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from temporalio import activity

from orderfleet.domain.policies import HEARTBEAT_INTERVAL


@contextmanager
def beating(*details: str) -> Iterator[None]:
    """Send a heartbeat with these details, each interval while the block runs.

    The first is sent after the first interval: an activity that is done by then, as nearly all
    are, costs an entry in the loop's list of timers. Without a heartbeat timeout nothing is sent.
    """
    if activity.info().heartbeat_timeout is None:
        yield
        return
    loop = asyncio.get_running_loop()
    interval = HEARTBEAT_INTERVAL.total_seconds()
    timer: asyncio.TimerHandle

    def beat() -> None:
        nonlocal timer
        activity.heartbeat(*details)
        timer = loop.call_later(interval, beat)

    timer = loop.call_later(interval, beat)
    try:
        yield
    finally:
        timer.cancel()
