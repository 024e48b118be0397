"""The peers as subjects: their programs are in tests/bench/peers."""

import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg

from orderfleet.domain.contract import ORDER_TASK_QUEUE, SHIPPING_TASK_QUEUE
from orderfleet_cli.local.ports import PortFinder
from orderfleet_cli.local.postgres import DATABASE
from orderfleet_cli.local.processes import Process, Program, answers, environment, run_once
from tests.bench.http import Orders
from tests.bench.server import Server
from tests.bench.subjects.running import running
from tests.bench.subjects.subject import DEADLINE_SECONDS, End
from tests.bench.temporal import polled
from tests.bench.usage import Tree

_PEERS: Final = "tests.bench.peers"
_MISSED: Final = """
SELECT count(*) FROM orders
WHERE starts_with(id, $1) AND state <> 'fulfilled'
  AND created_at < now() - $2 * interval '1 second'
"""
_ENDS: Final = """
SELECT id, extract(epoch FROM updated_at)::float8 AS at FROM orders
WHERE starts_with(id, $1) AND state = 'fulfilled'
"""


@dataclass(frozen=True)
class Peer:
    """Another way to fulfil orders, running."""

    http: Orders
    database: "asyncpg.Pool[asyncpg.Record]"
    trees: Mapping[str, Tree]

    async def place(self, order_id: str) -> None:
        await self.http.start(order_id)

    async def missed(self, prefix: str) -> int:
        return int(await self.database.fetchval(_MISSED, f"{prefix}-", DEADLINE_SECONDS))

    async def ends(self, prefix: str) -> dict[str, End]:
        rows = await self.database.fetch(_ENDS, f"{prefix}-")
        return {row["id"]: End(row["at"], fulfilled=True) for row in rows}


@asynccontextmanager
async def run_common_way(data: Path, server: Server, *, review: float) -> AsyncIterator[Peer]:
    """Run the API and the one worker process of both queues."""
    database = "common_way"
    await server.postgres.create_database(database)
    api = _Api(data, server, "common_way.api", database, review)
    tables = (sys.executable, "-m", f"{_PEERS}.common_way.create_tables")
    await run_once("tables", tables, api.env, data)
    client = await server.client()

    async def ready() -> bool:
        return await polled(client, ORDER_TASK_QUEUE) and await polled(client, SHIPPING_TASK_QUEUE)

    argv = (sys.executable, "-m", f"{_PEERS}.common_way.worker")
    worker = Process(Program(name="common-worker", argv=argv, env=api.env, ready=ready), data)
    async with _running({"api": api.process, "worker": worker}, api) as peer:
        yield peer


@asynccontextmanager
async def run_dbos(data: Path, server: Server, *, review: float) -> AsyncIterator[Peer]:
    """Run the one process that does it all."""
    database = "dbos_orders"
    await server.postgres.create_database(database)
    await server.postgres.migrate(database)
    api = _Api(data, server, "dbos_orders.api", database, review)
    async with _running({"api and workflows": api.process}, api) as peer:
        yield peer


@asynccontextmanager
async def run_reads(data: Path, server: Server) -> AsyncIterator[tuple[int, Tree]]:
    """Run the two reads on the fleet's own database; return the port and the process."""
    api = _Api(data, server, "fastapi_reads.api", DATABASE, 0)
    async with _running({"api": api.process}, api) as peer:
        yield api.port, peer.trees["api"]


class _Api:
    """A peer's process that serves HTTP."""

    def __init__(
        self, data: Path, server: Server, module: str, database: str, review: float
    ) -> None:
        self.port = PortFinder(print).take("peer", 0)
        self.database_url = server.postgres.url(database=database)
        self.env = environment() | {
            "DATABASE_URL": self.database_url,
            "TEMPORAL_ADDRESS": server.address,
            "PORT": str(self.port),
            "REVIEW_SECONDS": f"{review:g}",
        }
        argv = (sys.executable, "-m", f"{_PEERS}.{module}")
        name = module.replace("_", "-").replace(".", "-")
        self.process = Process(Program(name=name, argv=argv, env=self.env, ready=self._ready), data)

    async def _ready(self) -> bool:
        return await answers(self.port, "/ready")


@asynccontextmanager
async def _running(processes: Mapping[str, Process], api: _Api) -> AsyncIterator[Peer]:
    async with running(processes.values(), api.port, api.database_url) as (http, pool):
        yield Peer(http, pool, {name: Tree(one) for name, one in processes.items()})
