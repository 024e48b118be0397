"""Forget an order: remove its address and every free text from all tables, keep the books."""

from datetime import timedelta
from enum import StrEnum
from typing import Final

from orderfleet.store.pool import Pool

# The index orders_unforgotten has the same condition.
_DUE: Final = """
SELECT id FROM orders
WHERE forgotten_at IS NULL
  AND state IN ('fulfilled', 'cancelled', 'rejected', 'failed', 'timed_out')
  AND created_at < now() - $1::interval
  AND (state = 'fulfilled' OR NOT EXISTS (
      SELECT FROM payments WHERE order_id = orders.id AND status IN ('pending', 'captured')
  ))
ORDER BY created_at, id LIMIT $2
"""


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


async def due_orders(pool: Pool, *, older_than: timedelta, most: int) -> list[str]:
    """Return the oldest orders that can be forgotten and were created longer ago than this."""
    return [row["id"] for row in await pool.fetch(_DUE, older_than, most)]
