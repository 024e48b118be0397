"""What `orderfleet doctor` asks of Postgres."""

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


async def read_clock(pool: Pool) -> datetime:
    """Return the time of Postgres's machine."""
    told: datetime = await pool.fetchval("SELECT clock_timestamp()")
    return told
