"""The pool lends what is sound, and nothing that goes wrong costs it a connection."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from orderfleet.store.pool import Pool, open_pool
from tests.integration.support.fleet import eventually
from tests.integration.support.servers import Database

_PID = "SELECT pg_backend_pid()"


@pytest.fixture(params=[1, 3])
async def few(database: Database, request: pytest.FixtureRequest) -> AsyncIterator[Pool]:
    async with open_pool(database.url, size=request.param, wait_seconds=0) as opened:
        yield opened


async def _whole(pool: Pool) -> None:
    """All connections that there may be can be lent at once, and no more."""
    size = pool.get_max_size()
    async with asyncio.timeout(5):
        pids = await asyncio.gather(
            *(pool.fetchval(f"{_PID} FROM pg_sleep(0.1)") for _ in range(2 * size + 1))
        )
    assert len(set(pids)) == size
    assert (pool.get_size(), pool.get_idle_size()) == (size, size)


async def test_a_connection_is_lent_again(few: Pool) -> None:
    pids = {await few.fetchval(_PID) for _ in range(20)}
    assert len(pids) == 1
    assert (few.get_size(), few.get_idle_size()) == (1, 1)
    async with few.acquire() as connection:
        assert {await connection.fetchval(_PID)} == pids
        assert few.get_idle_size() == 0
    await _whole(few)


async def test_all_four_ways_to_ask(few: Pool) -> None:
    assert await few.execute("SELECT 1") == "SELECT 1"
    assert [row[0] for row in await few.fetch("SELECT unnest($1::int[])", [1, 2])] == [1, 2]
    assert tuple(await few.fetchrow("SELECT $1::int", 3) or ()) == (3,)
    assert await few.fetchrow("SELECT 1 WHERE false") is None
    assert await few.fetchval("SELECT $1::jsonb", {"a": 1}) == {"a": 1}


async def test_a_statement_that_fails(few: Pool) -> None:
    for _ in range(5):
        with pytest.raises(asyncpg.UndefinedTableError):
            await few.fetch("SELECT 1 FROM nowhere")
    await _whole(few)


async def test_a_statement_that_is_cancelled(few: Pool) -> None:
    for _ in range(5):
        asked = asyncio.create_task(few.fetch("SELECT pg_sleep(60)"))
        await asyncio.sleep(0.05)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
    await _whole(few)


async def test_a_wait_that_is_cancelled(few: Pool) -> None:
    size = few.get_max_size()
    busy = [asyncio.create_task(few.fetch("SELECT pg_sleep(0.5)")) for _ in range(size)]
    await asyncio.sleep(0.1)
    waiting = [asyncio.create_task(few.fetchval(_PID)) for _ in range(4)]
    await asyncio.sleep(0.05)
    for task in waiting[:2]:
        task.cancel()
    await asyncio.gather(*busy, *waiting[2:])
    assert [task.cancelled() for task in waiting] == [True, True, False, False]
    await _whole(few)


async def test_an_open_transaction_goes_no_further(few: Pool) -> None:
    async with few.acquire() as connection:
        await connection.execute("BEGIN")
    async with few.acquire() as connection:
        assert not connection.is_in_transaction()
    await _whole(few)


async def test_a_connection_that_breaks_while_nobody_has_it(few: Pool, owner: Pool) -> None:
    await _whole(few)
    pids = {await few.fetchval(_PID) for _ in range(10)}
    await owner.fetch("SELECT pg_terminate_backend(unnest($1::int[]))", list(pids))

    async def gone() -> bool:
        query = "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = ANY($1)"
        return bool(await owner.fetchval(query, list(pids)))

    await eventually(gone)
    # This process has heard of it by now.
    await asyncio.sleep(0.1)
    assert await few.fetchval(_PID) not in pids
    await _whole(few)


async def test_the_end_waits_for_what_is_under_way(database: Database) -> None:
    async with open_pool(database.url, size=2, wait_seconds=0) as pool:
        await _whole(pool)
        asked = asyncio.create_task(pool.fetchval("SELECT 1 FROM pg_sleep(0.3)"))
        await asyncio.sleep(0.1)
    assert await asked == 1
    assert pool.get_size() == 0
    with pytest.raises(asyncpg.InterfaceError):
        await pool.fetchval(_PID)


async def test_a_connection_that_is_not_given_back_in_time_is_closed(
    few: Pool, database: Database
) -> None:
    """The caller has its answer; what went wrong with the connection is not its concern."""
    async with few.acquire() as connection:
        before = await connection.fetchval(_PID)
        # It cannot be rolled back any more.
        await connection.execute("BEGIN")
        async with open_pool(database.owner_url, size=1, wait_seconds=0) as owner:
            await owner.execute("SELECT pg_terminate_backend($1)", before)
    assert await few.fetchval(_PID) != before
    await _whole(few)
