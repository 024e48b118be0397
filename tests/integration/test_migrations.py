import asyncio
from uuid import uuid4

import asyncpg
import msgspec
import pytest

from orderfleet.domain.orders import OrderState
from orderfleet.store.migrations import Migrated, migrate, migrations
from orderfleet.store.pool import Pool, open_pool
from orderfleet_cli.local.postgres import OWNER, ROLE
from tests.e2e.support.programs import run_program
from tests.integration.support.books import put_order
from tests.integration.support.servers import Servers

_ALL = [name for _, name, _ in migrations()]
_NEWEST = migrations()[-1][0]
# The migration that adds a trigger.
_TRIGGER = 6


async def test_two_at_once_run_each_migration_once_and_a_third_none(servers: Servers) -> None:
    role = f"role_{uuid4().hex}"
    async with servers.database(migrated=False) as empty:
        url = empty.owner_url.replace("postgresql://", "postgresql+asyncpg://")
        both = await asyncio.gather(migrate(url, role), migrate(url, role))
        assert sorted((one.applied for one in both), key=len) == [[], _ALL]
        assert await migrate(url, role) == Migrated([], _NEWEST)


async def test_a_migration_that_fails_leaves_nothing(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = migrations()
    bad = (99, "0099_bad.sql", "CREATE TABLE half (id integer); SELECT 1 / 0")
    monkeypatch.setattr("orderfleet.store.migrations.migrations", lambda: [*good, bad])
    async with servers.database(migrated=False) as empty:
        with pytest.raises(asyncpg.DivisionByZeroError):
            await migrate(empty.owner_url, "orderfleet")
        monkeypatch.setattr("orderfleet.store.migrations.migrations", lambda: good)
        assert await migrate(empty.owner_url, "orderfleet") == Migrated([], _NEWEST)
        connection = await asyncpg.connect(empty.owner_url)
        assert await connection.fetchval("SELECT to_regclass('half')") is None
        await connection.close()


async def test_an_index_that_was_interrupted_is_built_anew(servers: Servers) -> None:
    name = "0005_unforgotten.sql"
    assert name in _ALL
    async with servers.database() as made:
        connection = await asyncpg.connect(made.owner_url)
        await connection.execute("DELETE FROM schema_migrations WHERE name = $1", name)
        find = "SELECT indexrelid FROM pg_index WHERE indexrelid = 'orders_unforgotten'::regclass"
        index = await connection.fetchval(find)
        await connection.execute(
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = $1", index
        )
        assert (await migrate(made.owner_url, ROLE)).applied == [name]
        assert await connection.fetchval(f"{find} AND indisvalid")
        await connection.close()


async def test_no_write_waits_long_for_a_trigger(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An open transaction keeps the migration out, and the migration keeps nobody out for long."""
    every = [(number, name, sql.replace("2s", "200ms")) for number, name, sql in migrations()]
    others = [migration for migration in every if migration[0] != _TRIGGER]
    monkeypatch.setattr("orderfleet.store.migrations.migrations", lambda: others)
    async with servers.database(migrated=False) as made:
        await migrate(made.owner_url, ROLE)
        monkeypatch.setattr("orderfleet.store.migrations.migrations", lambda: every)
        connection = await asyncpg.connect(made.owner_url)
        async with open_pool(made.url, size=1, wait_seconds=0) as pool, connection.transaction():
            await put_order(pool, "one", OrderState.RECEIVED)
            await connection.execute("UPDATE events SET type = type")
            migrating = asyncio.create_task(migrate(made.owner_url, ROLE))
            await asyncio.sleep(0.1)
            await put_order(pool, "two", OrderState.RECEIVED)
            with pytest.raises(asyncpg.LockNotAvailableError):
                await migrating
        await connection.close()
        # `orderfleet-migrate` repeats it by itself.
        assert (await migrate(made.owner_url, ROLE)).applied == [
            name for number, name, _ in every if number == _TRIGGER
        ]


async def test_it_waits_for_a_database_that_is_not_there_yet(servers: Servers, owner: Pool) -> None:
    """A first installation: roles, passwords and databases are made by another Job meanwhile."""
    name = f"later_{uuid4().hex}"
    url = servers.postgres.url(user=OWNER, database=name)
    async with run_program("orderfleet-migrate", env={"DATABASE_URL": url}) as program:
        assert "does not exist" in await program.until("waiting for Postgres")
        await owner.execute(f"CREATE DATABASE {name}")
        status = await program.end()
    await owner.execute(f"DROP DATABASE {name}")
    assert status == 0, program.lines


async def test_a_role_that_never_comes_is_status_1_and_one_line(servers: Servers) -> None:
    url = servers.postgres.url(user="nobody", database="postgres")
    env = {"DATABASE_URL": url, "ORDERFLEET_START_WAIT_SECONDS": "1"}
    async with run_program("orderfleet-migrate", env=env) as program:
        assert await program.end() == 1
    wanted = 'orderfleet-migrate: password authentication failed for user "nobody"'
    assert program.lines[-1] == wanted


async def test_on_a_newer_schema_it_does_nothing_and_tells_that_version(servers: Servers) -> None:
    """A rollback: a later release has taken a right away, which this one would give again."""
    async with servers.database() as newer:
        connection = await asyncpg.connect(newer.owner_url)
        try:
            await connection.execute("INSERT INTO schema_migrations VALUES (99, '0099_later.sql')")
            await connection.execute(f"REVOKE INSERT ON orders FROM {ROLE}")
            env = {"DATABASE_URL": newer.owner_url}
            async with run_program("orderfleet-migrate", env=env) as program:
                status = await program.end()
            may = await connection.fetchval(
                "SELECT has_table_privilege($1, 'orders', 'INSERT')", ROLE
            )
        finally:
            await connection.close()
    assert status == 0, program.lines
    said = msgspec.json.decode(program.lines[-1])
    assert (said["event"], said["version"], said["applied"]) == ("schema is up to date", 99, [])
    assert not may


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET type = 'x'",
        "DELETE FROM events",
        "TRUNCATE events",
        "DELETE FROM orders",
        "DELETE FROM payments",
        "ALTER TABLE events DROP COLUMN ts",
        "INSERT INTO schema_migrations VALUES (99, 'x')",
    ],
)
async def test_the_role_of_the_fleet_cannot_rewrite_the_past(
    pool: Pool, owner: Pool, statement: str
) -> None:
    await put_order(owner, "one", OrderState.CHARGED)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await pool.execute(statement)
