"""The record of each run of the migrations, and what the API tells of the last one."""

from datetime import timedelta
from itertools import pairwise

import asyncpg
import pytest

from orderfleet.store.health import last_migration_failed
from orderfleet.store.migrations import Migrated, migrate, migrations
from orderfleet.store.pool import Pool
from orderfleet_api.fleet_exporter import poll_postgres
from orderfleet_cli.local.postgres import ROLE
from tests.e2e.support.programs import run_program
from tests.integration.support.servers import Database

_GOOD = migrations()
_NEWEST = _GOOD[-1][0]


def add(monkeypatch: pytest.MonkeyPatch, sql: str) -> None:
    """Let this release have a later migration too."""
    later = (99, "0099_later.sql", sql)
    monkeypatch.setattr("orderfleet.store.migrations.migrations", lambda: [*_GOOD, later])


async def told(pool: Pool) -> float | None:
    """Return the metric as an API of the fleet tells it, None if it is absent."""
    found = {one.name: one for one in await poll_postgres(pool, timedelta(seconds=20))}
    assert "orderfleet_open_orders" in found
    gauge = found.get("orderfleet_migration_failed")
    return gauge.samples[0].value if gauge else None


async def test_a_run_that_fails_is_told_until_one_does_not(
    database: Database, pool: Pool, owner: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await told(pool) == 0
    add(monkeypatch, "CREATE TABLE half (id integer); SELECT 1 / 0")
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(database.owner_url, ROLE)
    assert await told(pool) == 1
    assert await owner.fetchval("SELECT to_regclass('half')") is None
    add(monkeypatch, "CREATE TABLE whole (id integer)")
    assert await migrate(database.owner_url, ROLE) == Migrated(["0099_later.sql"], 99)
    assert await told(pool) == 0
    runs = await owner.fetch("SELECT * FROM migration_runs ORDER BY id")
    assert [(run["version"], run["error"]) for run in runs] == [
        (_NEWEST, None),
        (_NEWEST, "division by zero"),
        (99, None),
    ]
    assert all(run["began_at"] < run["ended_at"] for run in runs)
    assert all(one["ended_at"] < two["began_at"] for one, two in pairwise(runs))


async def test_the_program_records_what_it_fails_on(
    database: Database, pool: Pool, owner: Pool
) -> None:
    await owner.execute("DROP TABLE schema_migrations")
    async with run_program("orderfleet-migrate", env={"DATABASE_URL": database.owner_url}) as one:
        assert await one.end() == 1
    run = await owner.fetchrow("SELECT * FROM migration_runs ORDER BY id DESC LIMIT 1")
    assert run
    assert one.lines[-1].removeprefix("orderfleet-migrate: ") == run["error"]
    assert run["version"] is None
    assert await last_migration_failed(pool)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("no number\nand more"), "no number"),
        (AssertionError(), "AssertionError"),
        # Where Postgres quotes a row.
        (asyncpg.UniqueViolationError("not unique\nDETAIL:  Key (street)=(1 Home)"), "not unique"),
    ],
)
async def test_any_error_is_recorded_in_a_line(
    database: Database,
    pool: Pool,
    owner: Pool,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    text: str,
) -> None:
    def fail() -> list[tuple[int, str, str]]:
        raise error

    monkeypatch.setattr("orderfleet.store.migrations.migrations", fail)
    with pytest.raises(type(error)):
        await migrate(database.owner_url, ROLE)
    assert await told(pool) == 1
    last = "SELECT error FROM migration_runs ORDER BY id DESC LIMIT 1"
    assert await owner.fetchval(last) == text


async def test_a_run_is_recorded_before_the_next_one_begins(
    database: Database, owner: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the same lock: else a late record of a failure would follow that of a good run."""
    await owner.execute("CREATE TABLE locked (held boolean)")
    await owner.execute(
        """
        CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            INSERT INTO locked SELECT EXISTS (
                SELECT FROM pg_locks
                WHERE locktype = 'advisory' AND granted AND pid = pg_backend_pid()
            );
            RETURN NEW;
        END $$
        """
    )
    await owner.execute(
        "CREATE TRIGGER note BEFORE INSERT ON migration_runs FOR EACH ROW EXECUTE FUNCTION note()"
    )
    await migrate(database.owner_url, ROLE)
    add(monkeypatch, "SELECT 1 / 0")
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(database.owner_url, ROLE)
    assert [row["held"] for row in await owner.fetch("SELECT held FROM locked")] == [True, True]


async def test_the_last_hundred_are_kept(database: Database, owner: Pool) -> None:
    await owner.execute(
        "INSERT INTO migration_runs (began_at, error)"
        " SELECT clock_timestamp(), 'old' FROM generate_series(1, 150)"
    )
    for _ in range(2):
        await migrate(database.owner_url, ROLE)
    runs = await owner.fetch("SELECT error FROM migration_runs ORDER BY id DESC")
    assert [run["error"] for run in runs] == [None] * 2 + ["old"] * 98


async def test_after_a_rollback_the_failure_of_the_newer_release_is_over(
    database: Database, pool: Pool, owner: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = [(98, "0098_good.sql", "SELECT 1"), (99, "0099_bad.sql", "SELECT 1 / 0")]
    monkeypatch.setattr("orderfleet.store.migrations.migrations", lambda: [*_GOOD, *later])
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(database.owner_url, ROLE)
    assert await told(pool) == 1
    monkeypatch.setattr("orderfleet.store.migrations.migrations", lambda: _GOOD)
    assert await migrate(database.owner_url, ROLE) == Migrated([], 98)
    assert await told(pool) == 0


async def test_what_an_older_release_migrated_has_not_failed(pool: Pool, owner: Pool) -> None:
    await owner.execute("DELETE FROM migration_runs")
    assert await told(pool) == 0
    await owner.execute("DROP TABLE migration_runs")
    assert await told(pool) == 0


async def test_without_the_right_it_alone_is_absent(pool: Pool, owner: Pool) -> None:
    """Until its Job is done: the pods of a release that adds no migration do not wait for it."""
    await owner.execute("REVOKE SELECT ON migration_runs FROM orderfleet")
    assert await told(pool) is None


async def test_a_run_that_loses_postgres_says_so(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What failed is told, and not that it cannot be recorded."""
    add(monkeypatch, "SELECT pg_terminate_backend(pg_backend_pid())")
    with pytest.raises(asyncpg.InterfaceError, match="Transaction"):
        await migrate(database.owner_url, ROLE)


async def test_a_run_that_cannot_be_recorded_is_as_good(database: Database, owner: Pool) -> None:
    await owner.execute("DROP TABLE migration_runs")
    await owner.execute("CREATE TABLE migration_runs (other integer)")
    grant = f"SELECT has_table_privilege('{ROLE}', 'orders', 'INSERT')"
    await owner.execute(f"REVOKE INSERT ON orders FROM {ROLE}")
    assert await migrate(database.owner_url, ROLE) == Migrated([], _NEWEST)
    assert await owner.fetchval(grant)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO migration_runs (began_at) VALUES (now())",
        "UPDATE migration_runs SET error = NULL",
        "DELETE FROM migration_runs",
    ],
)
async def test_the_role_of_the_fleet_only_reads_it(pool: Pool, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await pool.execute(statement)
