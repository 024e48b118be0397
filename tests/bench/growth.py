"""What grows and what does not: with workers, with old orders, with orders that are open."""

from typing import Any, Final

import asyncpg
from msgspec import Struct

from orderfleet.store import queries as store
from tests.bench.bench import Bench
from tests.bench.load import Rate, place
from tests.bench.old_orders import add_old_orders
from tests.bench.rates import measure
from tests.bench.requests import Answered, get
from tests.bench.subjects.orderfleet import Options, Orderfleet, run_orderfleet
from tests.bench.trial import Phase, Trial
from tests.bench.usage import memory

WORKERS: Final = "workers"
OLD: Final = "old orders"
OPEN: Final = "open orders"
_STEADY: Final = Phase(plateau=4, plateau_seconds=15)
_OLD: Final = (100, 10_000, 1_000_000)
_OPEN: Final = (10, 1_000)
# Faster than that the workers do not receive them.
_OPEN_PER_SECOND: Final = 12.0
_SECONDS: Final = 3.0


class WithOld(Struct, frozen=True):
    """Reads and orders beside so many old orders."""

    reads: dict[str, Answered]
    plans: dict[str, str]
    trial: Trial


class WithOpen(Struct, frozen=True):
    """Memory and orders beside so many open ones."""

    memory: dict[str, int]
    trial: Trial


async def old_orders(bench: Bench) -> None:
    """Listing and order, their plans, and orders, beside ever more old orders."""
    for total in _OLD:
        async with run_orderfleet(bench.data, bench.server, Options()) as fleet:
            owner = await asyncpg.connect(bench.server.postgres.url())
            await add_old_orders(owner, total)
            figure = WithOld(
                await _reads(fleet, total),
                await _plans(owner, total),
                await measure(bench, fleet, f"old{total}", _STEADY),
            )
            await owner.close()
        bench.results.add(OLD, f"{total:,}", figure)


async def _reads(fleet: Orderfleet, total: int) -> dict[str, Answered]:
    port, tree = fleet.http.port, fleet.trees["api"]
    routes = {
        "GET /orders": ["/orders"],
        "GET /orders?state=fulfilled": ["/orders?state=fulfilled"],
        "GET /orders?state=charging": ["/orders?state=charging"],
        "GET /orders/{id}": [f"/orders/old-{number}" for number in range(1, total + 1, 97)],
        "GET /orders/{id}/status": [f"/orders/old-{number}/status" for number in range(1, 90)],
    }
    # One connection: how long an answer takes, not how many there are.
    return {
        route: await get(port, paths, tree, seconds=_SECONDS, connections=1)
        for route, paths in routes.items()
    }


class _Explained:
    """In the place of a pool: it keeps the plan of what it is asked, and answers nothing."""

    def __init__(self, owner: "asyncpg.Connection[asyncpg.Record]") -> None:
        self._owner = owner
        self.plan = ""

    async def fetch(self, statement: str, *arguments: Any) -> list[Any]:
        rows = await self._owner.fetch(
            f"EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, SUMMARY OFF, TIMING OFF) {statement}",
            *arguments,
        )
        self.plan = "\n".join(row[0] for row in rows)
        return []

    async def fetchrow(self, statement: str, *arguments: Any) -> None:
        await self.fetch(statement, *arguments)


async def _plans(owner: "asyncpg.Connection[asyncpg.Record]", total: int) -> dict[str, str]:
    pool: Any = _Explained(owner)
    plans = {}
    for name, question in {
        "listing": store.list_orders(pool, state=None, before=None, limit=51),
        "order": store.find_record(pool, f"old-{total // 2}"),
    }.items():
        await question
        plans[name] = pool.plan
    return plans


async def open_orders(bench: Bench) -> None:
    """Orders that end, and the memory of the workers, beside orders that wait for a review."""
    waiting = Options(review=1800, env={"ORDER_DEADLINE_SECONDS": "3600"})
    for total in _OPEN:
        async with run_orderfleet(bench.data, bench.server, waiting) as fleet:
            prefix = bench.prefix(f"open{total}")
            rate = Rate(_OPEN_PER_SECOND, total / _OPEN_PER_SECOND)
            placed = await place(prefix, rate, fleet.place)
            held = memory(fleet.trees)
            api = fleet.processes["api"]
            await api.stop()
            await api.start({"REVIEW_SECONDS": "2", "ORDER_DEADLINE_SECONDS": "15"})
            trial = await measure(bench, fleet, f"beside{total}", _STEADY)
            for order_id in placed.accepted:
                await fleet.client.get_workflow_handle(order_id).terminate("measured")
        bench.results.add(OPEN, f"{total:,}", WithOpen(held, trial))
