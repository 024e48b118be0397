"""One trial of one subject: a plateau, then a rising rate until orders miss their deadline."""

import asyncio
import os
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

import psutil
from msgspec import Struct

from tests.bench.load import Placed, Rate, place
from tests.bench.spread import percentiles
from tests.bench.subjects.subject import DEADLINE_SECONDS, End, Subject
from tests.bench.usage import Tree, cpu, memory

# The sliding window whose best is "orders a second that end in time": at 10 orders/s one order more
# or less is 0.7 % of it, and what bunches up within seconds is not taken for a rate.
WINDOW_SECONDS: Final = 15.0
_LOOK_SECONDS: Final = 1.0
GENERATOR: Final = "generator"


class Phase(Struct, frozen=True):
    """What is done to a subject."""

    plateau: float
    plateau_seconds: float
    rise: float = 0.0
    longest: float = 90.0


class Trial(Struct, frozen=True):
    """What was measured of one subject, once."""

    accepted: int
    refused: dict[str, int]
    ended: int
    fulfilled: int
    missed: int
    peak: float
    """The most orders a second that ended in time over a window, while orders still came in."""
    timeline: list[tuple[int, int]]
    """How many were due, and how many ended in time, in each second from the first order on."""
    cpu_seconds: dict[str, float]
    """Of each process, for each order that was accepted."""
    memory: dict[str, int]
    accept_seconds: dict[str, float]
    end_seconds: dict[str, float]


async def attempt(
    subject: Subject, prefix: str, phase: Phase, shared: Mapping[str, Tree]
) -> tuple[Trial, Placed, dict[str, End]]:
    """Run a phase, wait until its orders have ended, and tell what was seen.

    The latencies are those of the plateau, CPU and memory those of all of it.
    """
    trees = {**subject.trees, **shared}
    before, own = cpu(trees), own_cpu()
    stop = asyncio.Event()
    watching = asyncio.create_task(_watch(subject, prefix, phase, stop))
    rate = Rate(phase.plateau, phase.plateau_seconds, phase.rise)
    placed = await place(prefix, rate, subject.place, stop)
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching
    held = memory(trees)
    ends = await _wait(subject, prefix, placed)
    used = {name: value - before[name] for name, value in cpu(trees).items()}
    used[GENERATOR] = own_cpu() - own
    return _trial(placed, ends, phase, used, held), placed, ends


async def _watch(subject: Subject, prefix: str, phase: Phase, stop: asyncio.Event) -> None:
    """Call the rise off once an order has missed its deadline, or after the longest time."""
    with suppress(TimeoutError):
        async with asyncio.timeout(phase.longest):
            while not await subject.missed(prefix):  # noqa: ASYNC110 (nobody tells, so it asks)
                await asyncio.sleep(_LOOK_SECONDS)
    stop.set()


async def _wait(subject: Subject, prefix: str, placed: Placed) -> dict[str, End]:
    """Wait until all that was accepted has ended; no longer than an order may take and some."""
    until = time.monotonic() + DEADLINE_SECONDS + 5
    while True:
        ends = await subject.ends(prefix)
        if placed.accepted.keys() <= ends.keys() or time.monotonic() > until:
            return ends
        await asyncio.sleep(_LOOK_SECONDS)


def _trial(
    placed: Placed,
    ends: Mapping[str, End],
    phase: Phase,
    used: Mapping[str, float],
    held: dict[str, int],
) -> Trial:
    ended = {one: ends[one] for one in placed.accepted if one in ends}
    taken = {one: end.at - placed.due[one] for one, end in ended.items()}
    in_time = [
        one for one, end in ended.items() if end.fulfilled and taken[one] <= DEADLINE_SECONDS
    ]
    steady = placed.began + phase.plateau_seconds
    calm = [one for one in placed.accepted if placed.due[one] < steady]
    orders = len(placed.accepted) or 1
    # Without new orders to start, those that are open end faster than the subject could go on with.
    last = max(placed.due.values())
    moments = [ended[one].at for one in in_time if ended[one].at <= last]
    return Trial(
        accepted=len(placed.accepted),
        refused=dict(placed.refused),
        ended=len(ended),
        fulfilled=sum(end.fulfilled for end in ended.values()),
        missed=len(placed.due) - len(in_time),
        peak=peak(moments),
        timeline=_timeline(placed, moments),
        cpu_seconds={name: value / orders for name, value in used.items()},
        memory=held,
        accept_seconds=percentiles([placed.accepted[one] for one in calm]),
        end_seconds=percentiles([taken[one] for one in calm if one in taken]),
    )


def _timeline(placed: Placed, moments: Sequence[float]) -> list[tuple[int, int]]:
    due, done = (
        Counter(int(one - placed.began) for one in each) for each in (placed.due.values(), moments)
    )
    return [(due[second], done[second]) for second in range(max(due) + 1)]


def peak(moments: Sequence[float], window: float = WINDOW_SECONDS) -> float:
    """Return the most that fell into a window, a second of it."""
    ranked = sorted(moments)
    most = max(
        (bisect_left(ranked, one + window) - index for index, one in enumerate(ranked)), default=0
    )
    return most / window


def own_cpu() -> float:
    """Return the CPU-seconds that this process, the load generator, has used so far."""
    times = psutil.Process(os.getpid()).cpu_times()
    return times.user + times.system
