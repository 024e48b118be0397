"""Samples of a fleet under a steady load."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from statistics import fmean
from typing import Final

import asyncpg
import psutil
from temporalio.client import Client

from orderfleet.domain.contract import ORDER_WORKFLOW
from orderfleet_cli.local.postgres import DATABASE
from tests.bench.server import Server
from tests.bench.subjects.orderfleet import Orderfleet
from tests.bench.usage import Tree
from tests.soak.samples import Process, Sample, Table

_TABLES: Final = """
SELECT schemaname || '.' || relname AS name, pg_total_relation_size(relid) AS size,
       pg_indexes_size(relid) AS indexes, n_live_tup AS live, n_dead_tup AS dead
FROM pg_stat_user_tables
"""
_ORDERS: Final = "SELECT count(*) FROM orders"
_DATABASES: Final = (DATABASE, "temporal", "temporal_visibility")
_HISTORIES: Final = 20


async def take(fleet: Orderfleet, server: Server) -> Sample:
    """Look at everything once."""
    trees: Mapping[str, Tree] = {**fleet.trees, **server.trees}
    events, size = await _histories(fleet.client)
    return Sample(
        at=time.time(),
        orders=await fleet.database.fetchval(_ORDERS),
        processes={name: _process(tree) for name, tree in trees.items()},
        tables=await _tables(server),
        history_events=events,
        history_bytes=size,
    )


def _process(tree: Tree) -> Process:
    descriptors = 0
    for process in tree.processes():
        with suppress(psutil.Error):
            descriptors += process.num_fds()
    return Process(tree.memory(), descriptors)


async def _tables(server: Server) -> dict[str, Table]:
    tables = {}
    for database in _DATABASES:
        try:
            connection = await asyncpg.connect(server.postgres.url(database=database))
        except asyncpg.InvalidCatalogNameError:
            # Temporal's development server has its own.
            continue
        try:
            for name, *values in await connection.fetch(_TABLES):
                tables[f"{database}: {name}"] = Table(*values)
        finally:
            await connection.close()
    return tables


async def _histories(client: Client) -> tuple[float, float]:
    """Return the means of events and bytes of the order workflows that closed last."""
    query = f"WorkflowType = '{ORDER_WORKFLOW}' AND ExecutionStatus = 'Completed'"
    closed = [
        execution.raw_info
        async for execution in client.list_workflows(query, limit=_HISTORIES, page_size=_HISTORIES)
    ]
    if not closed:
        return 0.0, 0.0
    return (
        fmean(info.history_length for info in closed),
        fmean(info.history_size_bytes for info in closed),
    )


@asynccontextmanager
async def sampling(fleet: Orderfleet, server: Server, every: float) -> AsyncIterator[list[Sample]]:
    """Take samples during the block, the last at its end."""
    samples = [await take(fleet, server)]

    async def go_on() -> None:
        while True:
            await asyncio.sleep(every)
            samples.append(await take(fleet, server))

    task = asyncio.create_task(go_on())
    try:
        yield samples
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    samples.append(await take(fleet, server))
