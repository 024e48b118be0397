"""Forget an order: remove its address and every free text from all tables, keep the books."""

from enum import StrEnum

from orderfleet.store.pool import Pool


class Forgotten(StrEnum):
    """What `forget_order` did, or why it did nothing."""

    NOW = "forgotten"
    BEFORE = "repeated"
    UNKNOWN = "unknown"
    OPEN = "open"
    OWED = "owed"


async def forget_order(pool: Pool, order_id: str) -> Forgotten:
    """Redact an order's rows and add the event `forgotten`, unless it is open or owed a refund.

    A repeat redacts what has been added since, and adds no event. Events are changed by a function
    of the database's owner, as the fleet's role cannot change them.
    """
    return Forgotten(await pool.fetchval("SELECT forget_order($1)", order_id))
