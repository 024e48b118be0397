"""A pooler that hands the sessions of Postgres around is refused where sessions matter."""

import pytest
from asyncpg.pool import PoolConnectionProxy

from orderfleet.environment import SettingsError
from orderfleet.store.pool import Pool, Pooled
from orderfleet.store.pooler import check_session, check_statements


async def test_without_a_pooler_all_is_well(pool: Pool) -> None:
    await check_statements(pool)
    async with pool.dedicated() as first, pool.dedicated() as second:
        await check_session(first, second)


async def test_two_connections_in_one_session(pool: Pool) -> None:
    async with pool.dedicated() as connection:
        with pytest.raises(SettingsError, match=r"^DATABASE_URL: migrations need Postgres itself"):
            await check_session(connection, connection)


async def test_a_statement_that_the_session_does_not_have(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a pooler's transaction mode, where another client's session executes it."""
    prepare = PoolConnectionProxy.prepare

    async def forgotten(self: Pooled, query: str, *, name: str) -> object:
        statement = await prepare(self, query, name=name)
        await self.execute(f"DEALLOCATE {name}")
        return statement

    monkeypatch.setattr(PoolConnectionProxy, "prepare", forgotten)
    with pytest.raises(SettingsError, match="keeps no prepared statements"):
        await check_statements(pool)
