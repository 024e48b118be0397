"""HTTP alone: what the API reads, beside the same routes and SQL on FastAPI."""

from typing import Final

import asyncpg

from tests.bench.bench import Bench
from tests.bench.old_orders import add_old_orders
from tests.bench.requests import get
from tests.bench.subjects.orderfleet import Options, run_orderfleet
from tests.bench.subjects.peers import run_reads

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
    """Read by both; the status, which asks the workflow, by ours alone."""
    options = Options(review=600, env={"ORDER_DEADLINE_SECONDS": "1200"})
    async with run_orderfleet(bench.data, bench.server, options) as fleet:
        owner = await asyncpg.connect(bench.server.postgres.url())
        await add_old_orders(owner, _OLD)
        await owner.close()
        port, tree = fleet.http.port, fleet.trees["api"]
        for route, paths in _ROUTES.items():
            figure = await get(port, paths, tree, seconds=_SECONDS, connections=_CONNECTIONS)
            bench.results.add(PART, f"orderfleet, {route}", figure)
        ids = [f"{bench.prefix('reads')}-{number}" for number in range(_ASKED)]
        for order_id in ids:
            await fleet.place(order_id)
        paths = [f"/orders/{order_id}/status" for order_id in ids]
        figure = await get(port, paths, tree, seconds=_SECONDS, connections=_CONNECTIONS)
        bench.results.add(PART, f"orderfleet, {_STATUS}", figure)
        for order_id in ids:
            await fleet.client.get_workflow_handle(order_id).terminate("measured")
    async with run_reads(bench.data, bench.server) as (port, tree):
        for route, paths in _ROUTES.items():
            figure = await get(port, paths, tree, seconds=_SECONDS, connections=_CONNECTIONS)
            bench.results.add(PART, f"FastAPI, {route}", figure)
