"""Postgres cannot serve now: whoever asks knows it soon, and all is well once it can again."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import asyncpg
import pytest
import structlog
from litestar.plugins.problem_details import ProblemDetailsException
from prometheus_client import CollectorRegistry
from temporalio.service import RPCError, RPCStatusCode

from orderfleet.domain.orders import OrderState
from orderfleet.store.feed import listening, look
from orderfleet.store.migrations import migrate
from orderfleet.store.pool import UNAVAILABLE, Pool, connect, open_pool
from orderfleet_api import order_service
from orderfleet_api.backends import Backends
from orderfleet_api.fleet_exporter import POSTGRES, FleetGauges, poll_postgres
from orderfleet_cli.local.postgres import ROLE
from tests.integration.support.fleet import Fleet, an_order, eventually, new_id
from tests.integration.support.ill import (
    OwnPostgres,
    administer,
    run_own_postgres,
    standing_still,
)
from tests.integration.support.proxy import Wire, wire_to_postgres
from tests.integration.support.servers import Database

_PID: Final = "SELECT pg_backend_pid()"
# A caller knows within 5 s; without a bound for the wait 100 reads took 27 s.
_SOON: Final = 15.0


@pytest.fixture
async def own(tmp_path: Path) -> AsyncIterator[OwnPostgres]:
    async with run_own_postgres(tmp_path) as running:
        yield running


async def _fails(pool: Pool, query: str = _PID) -> bool:
    try:
        await pool.fetchval(query)
    except UNAVAILABLE:
        return True
    return False


async def _serves(pool: Pool) -> bool:
    return not await _fails(pool)


async def _opened(url: str) -> None:
    async with open_pool(url, size=1, wait_seconds=0):
        pass


async def _whole(pool: Pool) -> None:
    """All connections that there may be can be lent at once, and no more."""
    size = pool.get_max_size()
    asked = (pool.fetchval(f"{_PID} FROM pg_sleep(0.1)") for _ in range(2 * size))
    async with asyncio.timeout(_SOON):
        assert len(set(await asyncio.gather(*asked))) == size
    assert (pool.get_size(), pool.get_idle_size()) == (size, size)


async def _refused(fleet: Fleet, pool: Pool) -> None:
    """An order is answered 503, and nothing is started."""
    order_id = new_id()
    backends = Backends(pool, fleet.temporal, fleet.backends().settings)
    with pytest.raises(ProblemDetailsException) as raised:
        await order_service.accept(backends, order_id, an_order(f"pay-{order_id}"))
    assert raised.value.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert raised.value.headers == {"Retry-After": "1"}
    with pytest.raises(RPCError) as unknown:
        await fleet.workflow(order_id).describe()
    assert unknown.value.status is RPCStatusCode.NOT_FOUND


async def _accepted(fleet: Fleet, pool: Pool) -> str:
    order_id = new_id()
    backends = Backends(pool, fleet.temporal, fleet.backends().settings)
    accepted = await order_service.accept(backends, order_id, an_order(f"pay-{order_id}"))
    assert accepted.state is OrderState.RECEIVED
    return order_id


# --- It says nothing ----------------------------------------------------------------------------


async def _all_know_soon(pool: Pool) -> None:
    async with asyncio.timeout(_SOON):
        assert all(await asyncio.gather(*(_fails(pool) for _ in range(100))))


@pytest.mark.parametrize("lazy", [False, True])
async def test_a_server_that_stands_still(own: OwnPostgres, lazy: bool) -> None:
    async with open_pool(own.database.url, size=10, wait_seconds=10, lazy=lazy) as pool:
        if not lazy:
            await _whole(pool)
        async with standing_still(own.database.owner_url):
            await _all_know_soon(pool)
            # Also those who come later.
            await _all_know_soon(pool)
        await eventually(lambda: _serves(pool))
        await _whole(pool)


async def test_a_wire_that_swallows_all(database: Database) -> None:
    async with (
        wire_to_postgres(database.url) as (wire, url),
        open_pool(url, size=10, wait_seconds=0) as pool,
    ):
        await _whole(pool)
        wire.swallow()
        await _all_know_soon(pool)
        await wire.cut()
        await wire.mend()
        await eventually(lambda: _serves(pool))
        await _whole(pool)


async def test_waits_that_are_cancelled_leave_nothing(own: OwnPostgres) -> None:
    async with open_pool(own.database.url, size=3, wait_seconds=10) as pool:
        await _whole(pool)
        async with standing_still(own.database.owner_url):
            for seconds in (0.0, 0.05, 1.0):
                asked = [asyncio.create_task(pool.fetchval(_PID)) for _ in range(20)]
                await asyncio.sleep(seconds)
                for one in asked:
                    one.cancel()
                async with asyncio.timeout(_SOON):
                    ends = await asyncio.gather(*asked, return_exceptions=True)
                assert all(isinstance(end, asyncio.CancelledError) for end in ends), ends
        await eventually(lambda: _serves(pool))
        await _whole(pool)


async def test_the_end_of_a_pool_is_not_held_up(own: OwnPostgres) -> None:
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(open_pool(own.database.url, size=3, wait_seconds=10))
        await _whole(pool)
        async with standing_still(own.database.owner_url), asyncio.timeout(_SOON):
            await stack.aclose()
        assert pool.get_size() == 0


# --- It takes no writes -------------------------------------------------------------------------


@pytest.mark.parametrize("way", [OwnPostgres.read_only, OwnPostgres.demoted])
async def test_a_server_that_takes_no_writes(
    fleet: Fleet, own: OwnPostgres, way: Callable[[OwnPostgres], AbstractAsyncContextManager[None]]
) -> None:
    gauges = FleetGauges(fresh_seconds=60)
    registry = CollectorRegistry()
    registry.register(gauges)

    async def up(pool: Pool) -> float | None:
        await gauges.poll(POSTGRES, lambda: poll_postgres(pool, timedelta(seconds=20)))
        return registry.get_sample_value("orderfleet_exporter_up", {"source": POSTGRES})

    async with (
        open_pool(own.database.url, size=3, wait_seconds=10) as pool,
        open_pool(own.database.url, size=3, wait_seconds=10) as other,
    ):
        known = await _accepted(fleet, pool)
        await asyncio.gather(_whole(pool), _whole(other))
        assert await up(other) == 1
        async with way(own):
            # Not even the first one, for which the connections from before are still there.
            await _refused(fleet, pool)
            await _refused(fleet, pool)
            assert await up(other) == 0
            for one in (pool, other):
                assert await _fails(one, "CREATE TABLE nothing ()")
            with pytest.raises(TimeoutError, match=r"within 0 s: the server is read-only$"):
                await _opened(own.database.url)
            with pytest.raises(UNAVAILABLE):
                await migrate(own.database.owner_url, ROLE)
        await eventually(lambda: _serves(pool))
        await _accepted(fleet, pool)
        assert (
            await order_service.find(
                Backends(pool, fleet.temporal, fleet.backends().settings), known
            )
        ).state is OrderState.RECEIVED
        assert await up(other) == 1


async def test_a_connection_that_cannot_write_is_not_lent_again(own: OwnPostgres) -> None:
    async with (
        open_pool(own.database.url, size=3, wait_seconds=10) as pool,
        listening(pool, lambda: None) as connection,
    ):
        await _whole(pool)
        async with own.read_only():
            # The first one to be used tells of the others.
            await pool.fetchval(_PID)
            for _ in range(3):
                assert await _fails(pool)
            # Nor does the feed go on reading what nobody adds to.
            with pytest.raises(UNAVAILABLE, match="read-only"):
                await look(connection, 0)
        await eventually(lambda: _serves(pool))
        await _whole(pool)


async def test_of_several_hosts_the_one_that_takes_writes(
    own: OwnPostgres, database: Database, unused_tcp_port: int
) -> None:
    # Both servers are the same to one who connects, but for the writes.
    password = urlsplit(database.url).password
    await administer(
        own.database.owner_url,
        f"ALTER ROLE {ROLE} PASSWORD '{password}'",
        f"CREATE DATABASE {database.name}",
    )
    async with own.read_only(), wire_to_postgres(database.url) as (wire, silent_url):
        wire.swallow()
        writable, standby, silent = (
            urlsplit(url).netloc.rpartition("@")[2]
            for url in (database.url, own.database.url, silent_url)
        )
        nobody = f"127.0.0.1:{unused_tcp_port}"
        for first, why in (
            ([nobody], "refused|Connect call failed"),
            ([nobody, standby], "the server is read-only"),
            ([silent], "no answer within 2 s"),
        ):
            url = database.url.replace(writable, ",".join([*first, writable]))
            async with open_pool(url, size=2, wait_seconds=0) as pool:
                await _whole(pool)
            url = database.url.replace(writable, ",".join(first))
            with pytest.raises(TimeoutError, match=why):
                await _opened(url)


async def test_a_refused_write_expires_all_connections(pool: Pool) -> None:
    """Behind a pooler, which does not report that its server became a standby."""
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(pool.fetchval(f"{_PID} FROM pg_sleep(0.1)")) for _ in range(3)]
    before = {task.result() for task in asked}
    await pool.execute("SELECT 1")
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        await pool.execute("DO $$ BEGIN RAISE EXCEPTION '' USING ERRCODE = '25006'; END $$")
    assert await pool.fetchval(_PID) not in before


async def test_the_host_that_serves_is_the_first_from_then_on(database: Database) -> None:
    attempts = 0

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal attempts
        attempts += 1
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    dead = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    alive = urlsplit(database.url).netloc.rpartition("@")[2]
    url = database.url.replace(alive, f"{dead},{alive}") + "?target_session_attrs=primary"
    async with server, open_pool(url, size=3, wait_seconds=0) as pool:
        assert attempts
        before = attempts
        await _whole(pool)
        await pool.expire_connections()
        await _whole(pool)
    assert attempts == before


# --- It lets nobody in --------------------------------------------------------------------------


async def _when_open_connections_are_used(fleet: Fleet, pool: Pool) -> None:
    """What is open serves on; one more is not to be had."""
    async with pool.acquire() as connection:
        assert await connection.fetchval("SELECT 1") == 1
        await _refused(fleet, pool)
    await _accepted(fleet, pool)


@pytest.mark.parametrize(
    ("change", "back"),
    [
        ("CONNECTION LIMIT 1", "CONNECTION LIMIT -1"),
        ("ALLOW_CONNECTIONS false", "ALLOW_CONNECTIONS true"),
    ],
)
async def test_a_database_that_takes_no_more_connections(
    fleet: Fleet, change: str, back: str
) -> None:
    name = fleet.database.name
    # From another one: it may not be closed to the session that closes it.
    elsewhere = fleet.database.owner_url.replace(name, "postgres")
    async with (
        open_pool(elsewhere, size=1, wait_seconds=0) as owner,
        open_pool(fleet.database.url, size=2, wait_seconds=0) as pool,
    ):
        await owner.execute(f"ALTER DATABASE {name} {change}")
        await _when_open_connections_are_used(fleet, pool)
        await owner.execute(f"ALTER DATABASE {name} {back}")
        await _whole(pool)


async def test_a_right_to_connect_that_was_taken_away(fleet: Fleet, owner: Pool) -> None:
    async with open_pool(fleet.database.url, size=2, wait_seconds=0) as pool:
        on = f"CONNECT ON DATABASE {fleet.database.name}"
        await owner.execute(f"REVOKE {on} FROM PUBLIC, {ROLE}")
        await _when_open_connections_are_used(fleet, pool)
        await owner.execute(f"GRANT {on} TO {ROLE}")
        await _whole(pool)


async def test_a_name_that_nobody_knows() -> None:
    with pytest.raises(UNAVAILABLE):
        await connect("postgresql://someone@nowhere.invalid:5432/fleet")


# --- What it says, and what of that is "not now" --------------------------------------------------

_NOT_NOW: Final = (
    *("08000", "08003", "08006", "08P01", "25006", "25P04", "40001", "40P01"),
    *("53000", "53100", "53200", "53300", "53400", "55P03"),
    *("57000", "57014", "57P01", "57P02", "57P03", "57P05", "58000", "58030"),
)
_ERRORS: Final = (
    *("0A000", "22003", "22021", "22P02", "23502", "23503", "23505", "23514", "42501"),
    *("42601", "42703", "42P01", "54000", "55006", "P0001", "XX000", "XX001"),
)


@pytest.mark.parametrize(
    ("code", "not_now"), [*((one, True) for one in _NOT_NOW), *((one, False) for one in _ERRORS)]
)
async def test_what_a_statement_that_fails_means(pool: Pool, code: str, not_now: bool) -> None:
    with pytest.raises(asyncpg.PostgresError) as raised:
        await pool.execute(f"DO $$ BEGIN RAISE EXCEPTION 'canary' USING ERRCODE = '{code}'; END $$")
    assert raised.value.sqlstate == code
    assert isinstance(raised.value, UNAVAILABLE) == not_now
    assert await _serves(pool)


@pytest.mark.parametrize("limit", ["statement_timeout", "lock_timeout"])
async def test_limits_that_the_server_has(database: Database, owner: Pool, limit: str) -> None:
    await owner.execute(f"ALTER DATABASE {database.name} SET {limit} = '50ms'")
    async with (
        open_pool(database.url, size=2, wait_seconds=0) as pool,
        owner.acquire() as holder,
        holder.transaction(),
    ):
        await holder.execute("LOCK TABLE orders")
        with pytest.raises(UNAVAILABLE):
            await pool.fetch("SELECT 1 FROM orders")
        assert await _serves(pool)


async def test_two_that_wait_for_each_other(pool: Pool) -> None:
    async def lock(first: int, second: int) -> bool:
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", first)
            await both.wait()
            await connection.execute("SELECT pg_advisory_xact_lock($1)", second)
        return True

    async with asyncio.timeout(_SOON):
        both = asyncio.Barrier(2)
        ends = await asyncio.gather(lock(1, 2), lock(2, 1), return_exceptions=True)
    failed = [end for end in ends if end is not True]
    assert len(failed) == 1
    assert isinstance(failed[0], UNAVAILABLE)


# --- What is logged -----------------------------------------------------------------------------


async def test_no_line_is_in_the_name_of_another_order(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """A connection outlives the order for which it was opened."""
    named: list[tuple[str, dict[str, object]]] = []

    class Named(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            named.append((record.getMessage(), structlog.contextvars.get_contextvars()))

    async def ask(pool: Pool, order_id: str) -> None:
        structlog.contextvars.bind_contextvars(order_id=order_id)
        await _fails(pool)

    handler = Named()
    logging.getLogger().addHandler(handler)
    try:
        async with (
            wire_to_postgres(database.url) as (wire, url),
            open_pool(url, size=3, wait_seconds=0) as pool,
        ):
            await _round(wire, pool, ask)
            # A message that asyncpg cannot take: an error of the connection's own.
            await wire.tell(b"Z\0\0\0\x05X")
            await asyncio.sleep(0.1)
            await asyncio.create_task(ask(pool, "order-last"))
    finally:
        logging.getLogger().removeHandler(handler)
    assert not [record for record in caplog.records if record.name.startswith("asyncpg")]
    assert not [one for one in named if one[1]], named


async def _round(wire: Wire, pool: Pool, ask: Callable[[Pool, str], Awaitable[None]]) -> None:
    for number in range(3):
        await asyncio.gather(*(ask(pool, f"order-{number}-{one}") for one in range(6)))
        await wire.cut()
        await asyncio.gather(*(ask(pool, f"order-{number}-{one}-cut") for one in range(6)))
        await asyncio.sleep(0.1)
        await wire.mend()
