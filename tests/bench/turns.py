"""What a setting costs: two fleets on one server, with it and without, that get orders by turns.

A closed loop keeps both cores busy and no order late: of a rise, the orders that end late are in
every figure, and two rises minutes apart differ by more than the 3 % that are looked for.
"""

import asyncio
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Final

from msgspec import Struct

from tests.bench.bench import Bench
from tests.bench.books import UnbalancedError, check_books
from tests.bench.http import RefusedError
from tests.bench.rates import StartFleet
from tests.bench.subjects.orderfleet import Orderfleet
from tests.bench.subjects.subject import DEADLINE_SECONDS, End
from tests.bench.usage import Tree, cpu

PART: Final = "turns"
# The fleet that the other one is compared with.
PLAIN: Final = "neither"
# Orders take 2.1 s of which 2 s are the review: these are some 12 orders/s, and two cores do 8.
_OPEN: Final = 24
_TURNS: Final = 10
_SETTLE_SECONDS: Final = 5.0
_SECONDS: Final = 20.0
_LOOK_SECONDS: Final = 0.1


class Turn(Struct, frozen=True):
    """What was measured of a fleet in one turn."""

    per_second: float
    """Orders that were fulfilled."""
    cpu_seconds: dict[str, float]
    """Of each process, for each of these orders."""


@dataclass(frozen=True)
class Turns:
    """Two fleets; every second turn begins with the other one."""

    fleets: Mapping[str, StartFleet]

    async def __call__(self, bench: Bench) -> None:
        async with AsyncExitStack() as stack:
            fleets = {
                name: await stack.enter_async_context(start(bench))
                for name, start in self.fleets.items()
            }
            for name, fleet in fleets.items():
                await _turn(fleet, f"{bench.prefix(name)}w", bench.server.trees)
            for number in range(_TURNS):
                for name, fleet in list(fleets.items())[:: -1 if number % 2 else 1]:
                    prefix = f"{bench.prefix(name)}t{number}"
                    turn = await _turn(fleet, prefix, bench.server.trees)
                    bench.results.add(PART, name, turn)
                    turns = f"{number + 1:9} of {_TURNS}"
                    print(f"{turns}: {name}: {turn.per_second:.2f}/s", flush=True)


@dataclass
class _Loop:
    """Orders of one turn: a new one for each that ends."""

    fleet: Orderfleet
    prefix: str
    accepted: list[str] = field(default_factory=list)
    ends: dict[str, End] = field(default_factory=dict)
    stopped: bool = False

    async def client(self) -> None:
        while not self.stopped:
            order_id = f"{self.prefix}-{len(self.accepted)}"
            self.accepted.append(order_id)
            # Two fleets that have just started cannot take all at once.
            while not await self._placed(order_id):  # noqa: ASYNC110 (nobody tells, so it asks)
                await asyncio.sleep(1)
            while order_id not in self.ends:  # noqa: ASYNC110 (nobody tells, so it asks)
                await asyncio.sleep(_LOOK_SECONDS / 2)

    async def _placed(self, order_id: str) -> bool:
        try:
            await self.fleet.place(order_id)
        except RefusedError:
            return False
        return True

    async def look(self) -> None:
        while True:
            self.ends = await self.fleet.ends(self.prefix)
            await asyncio.sleep(_LOOK_SECONDS)


async def _turn(fleet: Orderfleet, prefix: str, shared: Mapping[str, Tree]) -> Turn:
    """Keep a fleet busy.

    Raises:
        UnbalancedError: an order was not fulfilled, or its money is not where it belongs.
    """
    loop, trees = _Loop(fleet, prefix), {**fleet.trees, **shared}
    looking = asyncio.create_task(loop.look())
    try:
        async with asyncio.TaskGroup() as clients:
            for _ in range(_OPEN):
                clients.create_task(loop.client())
            await asyncio.sleep(_SETTLE_SECONDS)
            began, used, ended = time.monotonic(), cpu(trees), len(loop.ends)
            await asyncio.sleep(_SECONDS)
            seconds, orders = time.monotonic() - began, len(loop.ends) - ended
            used = {name: value - used[name] for name, value in cpu(trees).items()}
            loop.stopped = True
            await asyncio.wait_for(_none_open(loop), DEADLINE_SECONDS)
    finally:
        looking.cancel()
    books = await check_books(fleet.database, fleet.client, prefix, loop.accepted)
    if books.postgres.keys() != {"fulfilled"}:
        raise UnbalancedError(f"{prefix}: not all were fulfilled: {books.postgres}")
    return Turn(orders / seconds, {name: value / orders for name, value in used.items()})


async def _none_open(loop: _Loop) -> None:
    while loop.ends.keys() < set(loop.accepted):  # noqa: ASYNC110 (nobody tells, so it asks)
        await asyncio.sleep(_LOOK_SECONDS)
