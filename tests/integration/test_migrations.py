import asyncio
from uuid import uuid4

import asyncpg
import pytest

from orderfleet.orders import OrderState
from orderfleet.store.migrate import migrate, migrations
from orderfleet.store.pool import Pool
from tests.integration.support.books import put_order
from tests.integration.support.servers import Servers

_ALL = [name for _, name, _ in migrations()]


async def test_two_at_once_run_each_migration_once_and_a_third_none(servers: Servers) -> None:
    role = f"role_{uuid4().hex}"
    async with servers.database(migrated=False) as empty:
        url = empty.owner_url.replace("postgresql://", "postgresql+asyncpg://")
        both = await asyncio.gather(migrate(url, role), migrate(url, role))
        assert sorted(both, key=len) == [[], _ALL]
        assert await migrate(url, role) == []


async def test_a_migration_that_fails_leaves_nothing(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = migrations()
    bad = (99, "0099_bad.sql", "CREATE TABLE half (id integer); SELECT 1 / 0")
    monkeypatch.setattr("orderfleet.store.migrate.migrations", lambda: [*good, bad])
    async with servers.database(migrated=False) as empty:
        with pytest.raises(asyncpg.DivisionByZeroError):
            await migrate(empty.owner_url, "orderfleet")
        monkeypatch.setattr("orderfleet.store.migrate.migrations", lambda: good)
        assert await migrate(empty.owner_url, "orderfleet") == []
        connection = await asyncpg.connect(empty.owner_url)
        assert await connection.fetchval("SELECT to_regclass('half')") is None
        await connection.close()


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
