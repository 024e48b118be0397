"""The fleet under a load, and the most it can do: P."""

import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from msgspec import Struct

from orderfleet.polling import poll
from orderfleet_cli.errors import CommandError
from tests.bench.bench import Bench
from tests.bench.books import check_books
from tests.bench.overload.offer import Client, Sent, Step, offer
from tests.bench.overload.outcomes import Outcome, outcomes, started
from tests.bench.subjects.orderfleet import Options, Orderfleet, run_orderfleet
from tests.bench.trial import Phase, attempt

PART: Final = "overload"
PEAK: Final = "P"
_WARM_UP: Final = [Step(4, 3)]
_WARM_UP_SECONDS: Final = 30.0
# A backlog without a limit takes minutes: refunds have no deadline.
_PATIENCE: Final = 240.0
_LOOK_SECONDS: Final = 1.0
_SLOTS: Final = 20
_GATEWAY_SECONDS: Final = 2
SLOW_GATEWAY: Final = {
    "ORDERFLEET_ACTIVITY_SLOTS": str(_SLOTS),
    "ORDERFLEET_GATEWAY_FAULTS": (
        f'[{{"at": "charge", "kind": "hang_before", "seconds": {_GATEWAY_SECONDS}}}]'
    ),
}


class Peak(Struct, frozen=True):
    """What the fleet can do without admission."""

    per_second: float
    """The most orders a second fulfilled in time, over 15 s of a rising rate."""
    timeline: list[tuple[int, int]]


@asynccontextmanager
async def warm_fleet(
    bench: Bench, name: str, env: Mapping[str, str] | None = None, key: str = ""
) -> AsyncIterator[Orderfleet]:
    """Run the fleet, and some orders, which are not measured."""
    async with run_orderfleet(bench.data, bench.server, Options(env=env or {})) as fleet:
        await warm_up(fleet, warm_up_prefix(bench, name), key)
        yield fleet


async def warm_up(fleet: Orderfleet, prefix: str, key: str = "") -> None:
    """Place some orders and wait for their end."""
    client = Client(fleet.http.port, key)
    sent = await offer(numbered(prefix), _WARM_UP, client.place)
    client.close()
    accepted = sum(one.accepted for one in sent)

    async def ended() -> bool:
        return len(await fleet.ends(prefix)) >= accepted

    if not await poll(ended, seconds=_WARM_UP_SECONDS, pause=_LOOK_SECONDS):
        raise CommandError(f"the first {accepted} orders did not end: nothing to measure")


def warm_up_prefix(bench: Bench, name: str) -> str:
    return bench.prefix(f"{name} warm")


async def peak_of(
    bench: Bench, rise: Phase, name: str = PEAK, env: Mapping[str, str] | None = None
) -> float:
    """Return P, measured once in a run, by whoever needs it first.

    Raises:
        CommandError: it is below the rate at which the rise begins, so no peak was passed.
    """
    measured: list[dict[str, Any]] = bench.results.figures.get(PART, {}).get(name, [])
    if measured:
        return float(measured[-1]["per_second"])
    peak = await measure_peak(bench, rise, name, env)
    bench.results.add(PART, name, peak)
    return peak.per_second


async def measure_peak(
    bench: Bench, rise: Phase, name: str, env: Mapping[str, str] | None = None
) -> Peak:
    """Measure P, without admission, as the plans `short` and `full` do.

    The rate rises until an order misses its deadline; no limit that might be too low takes part.

    Args:
        bench: the run.
        rise: the load.
        name: of this measurement alone.
        env: settings of the fleet.

    Raises:
        CommandError: it is below the rate at which the rise begins, so no peak was passed.
    """
    off = {**(env or {}), "ORDERFLEET_ADMISSION": "off"}
    async with warm_fleet(bench, name, off) as fleet:
        prefix = bench.prefix(name)
        trial, placed, _ = await attempt(fleet, prefix, rise, bench.server.trees)
        await check_books(fleet.database, fleet.client, prefix, placed.accepted, patience=_PATIENCE)
    if trial.peak < rise.plateau:
        raise CommandError(
            f"P is {trial.peak:.1f} orders/s, below the {rise.plateau:g} at which its measurement"
            " begins: is the machine busy?"
        )
    return Peak(trial.peak, trial.timeline)


async def settle(fleet: Orderfleet, prefix: str, sent: list[Sent]) -> dict[str, Outcome]:
    """Wait until all orders have ended and the books balance; return how the orders ended.

    Raises:
        UnbalancedError: they do not balance.
    """
    orders = {one.name for one in sent if one.accepted} | (
        await started(fleet.client, prefix)
    ).keys()
    await check_books(fleet.database, fleet.client, prefix, orders, patience=_PATIENCE)
    return await outcomes(fleet.database, fleet.client, prefix)


def numbered(prefix: str) -> Iterator[str]:
    """Yield the ids of a load's orders."""
    number = 0
    while True:
        yield f"{prefix}-{number}"
        number += 1


def periods(began: float, steps: list[Step]) -> list[tuple[float, float]]:
    """Return when each step begins and ends."""
    result = []
    for step in steps:
        result.append((began, began + step.seconds))
        began += step.seconds
    return result


def soon() -> float:
    """Return when a load begins that is made now: all its parts by the same clock."""
    return time.time() + 0.2
