"""What `orderfleet doctor` and the API's metrics ask of Postgres."""

from datetime import datetime

import asyncpg

from orderfleet.store.pool import Pool


async def schema_version(pool: Pool) -> int | None:
    """Return the number of the newest migration that ran, or None if none did."""
    try:
        found = await pool.fetchval("SELECT max(number) FROM schema_migrations")
    except asyncpg.UndefinedTableError:
        return None
    return None if found is None else int(found)


async def last_migration_failed(pool: Pool) -> bool | None:
    """Tell whether the last run of the migrations failed, or None if this role may not know."""
    try:
        failed = await pool.fetchval(
            "SELECT error IS NOT NULL FROM migration_runs ORDER BY id DESC LIMIT 1"
        )
    except asyncpg.UndefinedTableError:
        # An older release migrated, which recorded nothing.
        return False
    except asyncpg.InsufficientPrivilegeError:
        # The first run with this table has made it, and not given the rights yet.
        return None
    return bool(failed)


async def read_clock(pool: Pool) -> datetime:
    """Return the time of Postgres's machine."""
    told: datetime = await pool.fetchval("SELECT clock_timestamp()")
    return told
