"""Migrations: numbered SQL files, forward only, one at a time under an advisory lock.

The previous release must run on the new schema, so a migration only adds; the next release drops
what is unused. `DATABASE_URL` is the owner's here, not the fleet's. On a schema that is newer than
its files, after a rollback, a release changes nothing. Each run leaves a row in `migration_runs`,
from which the API reports whether the last run failed.
"""

from datetime import datetime
from importlib.resources import files
from math import inf
from typing import Final, NamedTuple

import asyncpg
import structlog

from orderfleet.polling import poll
from orderfleet.store.password import Password
from orderfleet.store.pool import UNAVAILABLE, Connection, connect
from orderfleet.store.pooler import check_session

log = structlog.stdlib.get_logger(__name__)

# asyncpg's own 60 s would waste a minute if Postgres, or its network policy, comes up in between.
_CONNECT_SECONDS: Final = 5.0

# Any constant that no other user of the database has.
_LOCK: Final = 0x6F726466

_LOCK_PAUSE: Final = 0.1

# The first line of a migration whose statements hold up no writes, and need no rollback: the whole
# file is repeated after a failure.
_CONCURRENTLY: Final = "-- concurrently\n"
_DONE: Final = "INSERT INTO schema_migrations (number, name) VALUES ($1, $2)"

_RUNS: Final = """
CREATE TABLE IF NOT EXISTS migration_runs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    began_at timestamptz NOT NULL,
    ended_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    version integer,
    error text
)
"""
# Keeps the last hundred.
_RECORD: Final = """
WITH old AS (
    DELETE FROM migration_runs
    WHERE id IN (SELECT id FROM migration_runs ORDER BY id DESC OFFSET 99)
)
INSERT INTO migration_runs (began_at, version, error)
VALUES ($1, (SELECT max(number) FROM schema_migrations), $2)
"""


class Migrated(NamedTuple):
    """The migrations that ran, and the database's version after them."""

    applied: list[str]
    version: int


def migrations() -> list[tuple[int, str, str]]:
    """Return number, name and SQL of all migrations, in order."""
    folder = files("orderfleet.store") / "migrations"
    found = sorted(
        (path.name, path.read_text()) for path in folder.iterdir() if path.name.endswith(".sql")
    )
    return [(int(name.split("_", 1)[0]), name, sql) for name, sql in found]


async def migrate(url: str, role: str, password: Password | None = None) -> Migrated:
    """Bring the schema up to date, and record the run.

    Safe to call concurrently: the second caller waits and has nothing to do.

    Raises:
        SettingsError: a pooler in transaction mode keeps no lock.
        UNAVAILABLE: Postgres is unavailable.
    """
    connection = await connect(url, password=password, seconds=_CONNECT_SECONDS)
    try:
        await _check_session(connection, url, password)
        await _take_lock(connection)
        began_at: datetime = await connection.fetchval("SELECT clock_timestamp()")
        try:
            migrated = await _migrate(connection, role)
        except Exception as error:
            await _record(connection, began_at, error)
            raise
        await _record(connection, began_at, None)
        return migrated
    finally:
        await connection.close(timeout=_CONNECT_SECONDS)


async def _check_session(connection: Connection, url: str, password: Password | None) -> None:
    second = await connect(url, password=password, seconds=_CONNECT_SECONDS)
    try:
        await check_session(connection, second)
    finally:
        await second.close(timeout=_CONNECT_SECONDS)


async def _take_lock(connection: Connection) -> None:
    """Wait for the lock without a snapshot, for which a concurrent index would wait in turn."""

    async def take() -> bool:
        return bool(await connection.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK))

    await poll(take, seconds=inf, pause=_LOCK_PAUSE)


async def _migrate(connection: Connection, role: str) -> Migrated:
    await connection.execute(
        "CREATE TABLE IF NOT EXISTS schema_migrations ("
        "number integer PRIMARY KEY, name text NOT NULL,"
        " applied_at timestamptz NOT NULL DEFAULT now())"
    )
    await connection.execute(_RUNS)
    done = {row["number"] for row in await connection.fetch("SELECT number FROM schema_migrations")}
    newest = migrations()[-1][0]
    version = max(done, default=0)
    if version > newest:
        # Keep the rights as well: the newer release may have revoked some that this one grants.
        return Migrated([], version)
    applied = []
    for number, name, sql in migrations():
        if number in done:
            continue
        if sql.startswith(_CONCURRENTLY):
            # Each statement by itself: Postgres refuses these in a transaction.
            for statement in sql.split(";\n"):
                if statement.strip():
                    await connection.execute(statement)
            await connection.execute(_DONE, number, name)
        else:
            async with connection.transaction():
                await connection.execute(sql)
                await connection.execute(_DONE, number, name)
        applied.append(name)
    await _grant(connection, role)
    return Migrated(applied, newest)


async def _record(connection: Connection, began_at: datetime, error: Exception | None) -> None:
    """Record a run if possible; a failure to do so is logged, and hides no other error."""
    # The first line only: Postgres's further lines may quote a row.
    text = None if error is None else str(error).partition("\n")[0].strip() or type(error).__name__
    try:
        await connection.execute(_RECORD, began_at, text)
    except (*UNAVAILABLE, asyncpg.PostgresError) as why:
        log.warning("could not record the migration run", error=str(why) or type(why).__name__)


async def _grant(connection: Connection, role: str) -> None:
    quoted = await connection.fetchval("SELECT quote_ident($1)", role)
    if not await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role):
        await connection.execute(f"CREATE ROLE {quoted} LOGIN")
    grants = (files("orderfleet.store") / "grants.sql").read_text()
    await connection.execute(grants.replace("{role}", quoted))
