"""The processes of a subject that takes orders over HTTP and keeps them in Postgres."""

from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager

import asyncpg

from orderfleet_cli.local.processes import Process
from tests.bench.http import Orders, placing


@asynccontextmanager
async def running(
    processes: Iterable[Process], port: int, database_url: str
) -> AsyncIterator[tuple[Orders, "asyncpg.Pool[asyncpg.Record]"]]:
    """Start the processes in this order and stop them at the end, the last one first.

    Args:
        processes: the subject's.
        port: where one of them takes orders.
        database_url: where the orders are looked at, by a role that may read them.
    """
    async with AsyncExitStack() as stack:
        for process in processes:
            stack.push_async_callback(process.stop)
            await process.start()
        pool = asyncpg.create_pool(database_url, min_size=0, max_size=2)
        yield (
            await stack.enter_async_context(placing(port)),
            await stack.enter_async_context(pool),
        )
