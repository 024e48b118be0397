"""Migrations: numbered SQL files, forward only, one at a time under an advisory lock.

The previous release must run on the new schema, so a file adds; what is no longer used goes a
release later. `DATABASE_URL` is here the owner's, not the fleet's. On a schema newer than its own
files, after a rollback, a release changes nothing.
"""

import asyncio
import sys
from importlib.resources import files
from typing import Annotated, Final, NamedTuple

import asyncpg
import structlog

from orderfleet.settings import CommonSettings, Env, start
from orderfleet.store.pool import UNAVAILABLE
from orderfleet.telemetry.logs import configure_logs

log = structlog.stdlib.get_logger(__name__)

# At a first installation roles, passwords and databases are made meanwhile.
_NOT_YET: Final = (
    *UNAVAILABLE,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InvalidPasswordError,
)

# asyncpg's own 60 s is a minute lost when Postgres, or its network policy, comes up in between.
_CONNECT_SECONDS: Final = 5.0

# Any constant will do; it only has to differ from other users of the same database.
_LOCK: Final = 0x6F726466


class MigrateSettings(CommonSettings, frozen=True, kw_only=True):
    """Settings of `orderfleet-migrate`."""

    database_role: Annotated[
        str, Env("The fleet's role, made if it is missing and granted what the fleet needs.")
    ] = "orderfleet"


class Migrated(NamedTuple):
    """The migrations that ran, and the version that the database now has."""

    applied: list[str]
    version: int


def migrations() -> list[tuple[int, str, str]]:
    """Return number, name and SQL of all migrations in their order."""
    folder = files("orderfleet.store") / "migrations"
    found = sorted(
        (path.name, path.read_text()) for path in folder.iterdir() if path.name.endswith(".sql")
    )
    return [(int(name.split("_", 1)[0]), name, sql) for name, sql in found]


async def migrate(url: str, role: str) -> Migrated:
    """Bring the schema up to date.

    Safe to call twice at once: the second caller waits and finds nothing to do.
    """
    connection = await asyncpg.connect(url.replace("+asyncpg", "", 1), timeout=_CONNECT_SECONDS)
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_migrations ("
            "number integer PRIMARY KEY, name text NOT NULL,"
            " applied_at timestamptz NOT NULL DEFAULT now())"
        )
        done = {
            row["number"] for row in await connection.fetch("SELECT number FROM schema_migrations")
        }
        newest = migrations()[-1][0]
        version = max(done, default=0)
        if version > newest:
            # The rights too are the newer release's: this one may give what that one took away.
            return Migrated([], version)
        applied = []
        for number, name, sql in migrations():
            if number in done:
                continue
            async with connection.transaction():
                await connection.execute(sql)
                await connection.execute(
                    "INSERT INTO schema_migrations (number, name) VALUES ($1, $2)", number, name
                )
            applied.append(name)
        await _grant(connection, role)
        return Migrated(applied, newest)
    finally:
        await connection.close()


async def _grant(connection: "asyncpg.Connection[asyncpg.Record]", role: str) -> None:
    quoted = await connection.fetchval("SELECT quote_ident($1)", role)
    if not await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role):
        await connection.execute(f"CREATE ROLE {quoted} LOGIN")
    grants = (files("orderfleet.store") / "grants.sql").read_text()
    await connection.execute(grants.replace("{role}", quoted))


async def _migrate_when_up(settings: MigrateSettings) -> Migrated:
    deadline = asyncio.get_running_loop().time() + settings.start_wait_seconds
    while True:
        try:
            return await migrate(settings.database_url, settings.database_role)
        except _NOT_YET as error:
            if asyncio.get_running_loop().time() > deadline:
                raise
            log.warning("waiting for Postgres", error=str(error) or type(error).__name__)
            await asyncio.sleep(0.5)


def main() -> None:
    """Run the migrations once and exit: 0 done, 1 failed, 2 wrong settings."""
    settings = start(MigrateSettings, "orderfleet-migrate")
    configure_logs(settings.log_level, settings.log_format, service="migrate")
    try:
        done = asyncio.run(_migrate_when_up(settings))
    except (*UNAVAILABLE, asyncpg.PostgresError) as error:
        print(f"orderfleet-migrate: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    log.info("schema is up to date", applied=done.applied, version=done.version)


if __name__ == "__main__":
    main()
