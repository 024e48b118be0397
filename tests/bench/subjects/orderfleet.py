"""Orderfleet as a subject: its three services as processes, each worker as often as asked for."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import asyncpg
from temporalio.client import Client

from orderfleet_cli.local.ports import LOOPBACK, PortFinder
from orderfleet_cli.local.postgres import DATABASE, ROLE
from orderfleet_cli.local.processes import Process, Program, answers, environment, executable
from tests.bench.http import Orders
from tests.bench.server import NAMESPACE, Server
from tests.bench.subjects.running import running
from tests.bench.subjects.subject import DEADLINE_SECONDS, End
from tests.bench.usage import Tree

_MISSED: Final = """
SELECT count(*) FROM orders
WHERE starts_with(id, $1) AND state <> 'fulfilled'
  AND (state IN ('cancelled', 'rejected', 'failed', 'timed_out')
       OR created_at < now() - $2 * interval '1 second')
"""
_ENDS: Final = """
SELECT orders.id, orders.state = 'fulfilled' AS fulfilled,
       extract(epoch FROM events.ts)::float8 AS at
FROM orders JOIN events ON events.order_id = orders.id AND events.event_key = 'ended'
WHERE starts_with(orders.id, $1)
"""


@dataclass(frozen=True)
class Orderfleet:
    """The services, running."""

    http: Orders
    database: "asyncpg.Pool[asyncpg.Record]"
    client: Client
    trees: Mapping[str, Tree]
    processes: Mapping[str, Process]

    async def place(self, order_id: str) -> None:
        await self.http.start(order_id)

    async def missed(self, prefix: str) -> int:
        found = await self.database.fetchval(_MISSED, f"{prefix}-", DEADLINE_SECONDS)
        return int(found)

    async def ends(self, prefix: str) -> dict[str, End]:
        rows = await self.database.fetch(_ENDS, f"{prefix}-")
        return {row["id"]: End(row["at"], row["fulfilled"]) for row in rows}


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to run the services."""

    review: float = 2.0
    workers: int = 1
    database: str = DATABASE
    namespace: str = NAMESPACE
    env: Mapping[str, str] = field(default_factory=dict)


@asynccontextmanager
async def run_orderfleet(data: Path, server: Server, options: Options) -> AsyncIterator[Orderfleet]:
    """Start the services and stop them at the end."""
    client = await server.client(namespace=options.namespace)
    await server.postgres.create_database(options.database)
    await server.postgres.migrate(options.database)
    find = PortFinder(print)
    api_port = find.take("API", 0)
    env = {
        "DATABASE_URL": server.postgres.url(user=ROLE, database=options.database),
        "TEMPORAL_ADDRESS": server.address,
        "TEMPORAL_NAMESPACE": options.namespace,
        "ORDERFLEET_API_HOST": LOOPBACK,
        "ORDERFLEET_API_PORT": str(api_port),
        "ORDERFLEET_LOG_FORMAT": "json",
        "REVIEW_SECONDS": f"{options.review:g}",
        **options.env,
    }
    names = {"api": ["api"]}
    for worker in ("order-worker", "shipping-worker"):
        names[worker] = [f"{worker}-{number + 1}" for number in range(options.workers)]
    processes = {
        name: _service(data, kind, name, find.take(name, 0), env)
        for kind, each in names.items()
        for name in each
    }
    url = server.postgres.url(database=options.database)
    async with running(processes.values(), api_port, url) as (http, pool):
        trees = {
            kind.replace("-", " "): Tree(*(processes[name] for name in each))
            for kind, each in names.items()
        }
        yield Orderfleet(http, pool, client, trees, processes)


def _service(data: Path, kind: str, name: str, port: int, env: Mapping[str, str]) -> Process:
    async def ready() -> bool:
        return await answers(port, "/readyz")

    own = {"ORDERFLEET_PROBE_HOST": LOOPBACK, "ORDERFLEET_PROBE_PORT": str(port)}
    argv = (executable(f"orderfleet-{kind}"),)
    return Process(
        Program(name=name, argv=argv, env=environment() | dict(env) | own, ready=ready), data
    )
