"""HTTP alone: what the API reads, beside the same routes and SQL on FastAPI."""

from collections.abc import Mapping, Sequence
from typing import Final

import asyncpg

from tests.bench.bench import Bench
from tests.bench.cores import own_core
from tests.bench.old_orders import add_old_orders
from tests.bench.requests import get
from tests.bench.subjects.orderfleet import Options, run_orderfleet
from tests.bench.subjects.peers import run_reads
from tests.bench.usage import Tree

PART: Final = "reads"
_OLD: Final = 1_000
# Short, as the speed of the machine drifts within seconds.
_TURNS: Final = 14
_SHARED_TURNS: Final = 6
_SECONDS: Final = 0.25
_CONNECTIONS: Final = 16
_ROUTES: Final = {
    "GET /orders/{id}": [f"/orders/old-{number}" for number in range(1, _OLD + 1)],
    "GET /orders": ["/orders"],
}
_STATUS: Final = "GET /orders/{id}/status"
_STATUS_SECONDS: Final = 1.0
_ASKED: Final = 10


async def reads(bench: Bench) -> None:
    """Read by both in short turns; the status, which asks the workflow, by ours alone.

    An API that nobody asks takes next to nothing. The one that is asked has a core of its own, and
    the client and Postgres have the other: of two cores that all share, the slower server leaves
    them more. The figures of shared cores stand beside those.
    """
    async with run_orderfleet(bench.data, bench.server, Options(workers=0)) as fleet:
        owner = await asyncpg.connect(bench.server.postgres.url())
        await add_old_orders(owner, _OLD)
        await owner.close()
        async with run_reads(bench.data, bench.server) as (port, tree):
            servers = {"orderfleet": (fleet.http.port, fleet.trees["api"]), "FastAPI": (port, tree)}
            with own_core([fleet.trees["api"], tree], bench.server.trees.values()):
                await _compare(bench, servers, _TURNS)
            await _compare(bench, servers, _SHARED_TURNS, ", shared cores")
    options = Options(review=600, env={"ORDER_DEADLINE_SECONDS": "1200"})
    async with run_orderfleet(bench.data, bench.server, options) as fleet:
        ids = [f"{bench.prefix('reads')}-{number}" for number in range(_ASKED)]
        for order_id in ids:
            await fleet.place(order_id)
        paths = [f"/orders/{order_id}/status" for order_id in ids]
        await _read(
            bench,
            f"orderfleet, {_STATUS}",
            fleet.http.port,
            fleet.trees["api"],
            paths,
            seconds=_STATUS_SECONDS,
        )
        for order_id in ids:
            await fleet.client.get_workflow_handle(order_id).terminate("measured")


async def _compare(
    bench: Bench, servers: Mapping[str, tuple[int, Tree]], turns: int, how: str = ""
) -> None:
    for _ in range(turns):
        for route, paths in _ROUTES.items():
            for name, (port, tree) in servers.items():
                await _read(bench, f"{name}, {route}{how}", port, tree, paths)


async def _read(
    bench: Bench,
    name: str,
    port: int,
    tree: Tree,
    paths: Sequence[str],
    *,
    seconds: float = _SECONDS,
) -> None:
    figure = await get(port, paths, tree, seconds=seconds, connections=_CONNECTIONS)
    bench.results.add(PART, name, figure)
