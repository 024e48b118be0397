"""HTTP alone: what the API reads, beside the same routes and SQL on FastAPI."""

from collections.abc import Mapping, Sequence
from typing import Final

import asyncpg

from tests.bench.bench import Bench
from tests.bench.old_orders import add_old_orders
from tests.bench.requests import get
from tests.bench.subjects.orderfleet import Options, run_orderfleet
from tests.bench.subjects.peers import run_reads
from tests.bench.usage import Tree

PART: Final = "reads"
_OLD: Final = 1_000
_SECONDS: Final = 5.0
_CONNECTIONS: Final = 16
_ROUTES: Final = {
    "GET /orders/{id}": [f"/orders/old-{number}" for number in range(1, _OLD + 1)],
    "GET /orders": ["/orders"],
}
_STATUS: Final = "GET /orders/{id}/status"
_ASKED: Final = 10


async def reads(bench: Bench) -> None:
    """Read by both, each by itself; the status, which asks the workflow, by ours alone."""
    async with run_orderfleet(bench.data, bench.server, Options(workers=0)) as fleet:
        owner = await asyncpg.connect(bench.server.postgres.url())
        await add_old_orders(owner, _OLD)
        await owner.close()
        await _read(bench, "orderfleet", fleet.http.port, fleet.trees["api"])
    async with run_reads(bench.data, bench.server) as (port, tree):
        await _read(bench, "FastAPI", port, tree)
    options = Options(review=600, env={"ORDER_DEADLINE_SECONDS": "1200"})
    async with run_orderfleet(bench.data, bench.server, options) as fleet:
        ids = [f"{bench.prefix('reads')}-{number}" for number in range(_ASKED)]
        for order_id in ids:
            await fleet.place(order_id)
        routes = {_STATUS: [f"/orders/{order_id}/status" for order_id in ids]}
        await _read(bench, "orderfleet", fleet.http.port, fleet.trees["api"], routes)
        for order_id in ids:
            await fleet.client.get_workflow_handle(order_id).terminate("measured")


async def _read(
    bench: Bench, name: str, port: int, tree: Tree, routes: Mapping[str, Sequence[str]] = _ROUTES
) -> None:
    for route, paths in routes.items():
        figure = await get(port, paths, tree, seconds=_SECONDS, connections=_CONNECTIONS)
        bench.results.add(PART, f"{name}, {route}", figure)
