"""The queries of `orderfleet doctor` and of the API's metrics."""

from datetime import datetime

import asyncpg

from orderfleet.store.pool import Connection, Pool


async def schema_version(pool: Pool | Connection) -> int | None:
    """Return the number of the newest migration that ran, or None if none did."""
    try:
        version = await pool.fetchval("SELECT max(number) FROM schema_migrations")
    except asyncpg.UndefinedTableError:
        return None
    return None if version is None else int(version)


async def last_migration_failed(pool: Pool) -> bool | None:
    """Return whether the last run of the migrations failed; None if this role may not read it."""
    try:
        failed = await pool.fetchval(
            "SELECT error IS NOT NULL FROM migration_runs ORDER BY id DESC LIMIT 1"
        )
    except asyncpg.UndefinedTableError:
        # An older release migrated; it kept no record.
        return False
    except asyncpg.InsufficientPrivilegeError:
        # The first run has created the table, and not yet granted the rights.
        return None
    return bool(failed)


async def read_clock(pool: Pool) -> datetime:
    """Return the time on Postgres's machine."""
    now: datetime = await pool.fetchval("SELECT clock_timestamp()")
    return now
