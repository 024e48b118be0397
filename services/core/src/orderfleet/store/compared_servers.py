"""The servers of Postgres whose orders have been compared with Temporal's."""

from datetime import datetime

from orderfleet.store.pool import Pool


async def record(pool: Pool, started_at: datetime) -> None:
    """Record that the server that started then has been compared."""
    await pool.execute(
        "INSERT INTO compared_servers (started_at) VALUES ($1) ON CONFLICT DO NOTHING", started_at
    )
