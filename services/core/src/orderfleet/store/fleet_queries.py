"""What the API tells of all orders together, every few seconds. Both look-ups have an index."""

from datetime import timedelta
from typing import Final

import asyncpg
from msgspec import Struct

from orderfleet.domain.orders import OPEN_STATES, OrderState
from orderfleet.store.pool import Pool


class Totals(Struct, frozen=True):
    """Orders that are open, and payments that have to go back."""

    open: dict[OrderState, int]
    overdue: int
    pending_refunds: int
    oldest_refund_seconds: float


_OPEN: Final = """
SELECT state, count(*) AS count, count(*) FILTER (WHERE created_at < now() - $1::interval) AS old
FROM orders
WHERE state NOT IN ('fulfilled', 'cancelled', 'rejected', 'failed', 'timed_out')
GROUP BY state
"""

# Counted from the order's end, and not by the row's time: events that come after the end renew it.
_REFUNDS: Final = """
SELECT count(*) AS count,
       coalesce(extract(epoch FROM clock_timestamp() - min(coalesce(
           (SELECT min(ts) FROM events WHERE order_id = orders.id AND type = orders.state),
           orders.updated_at
       ))), 0)::float8 AS oldest,
       current_setting('transaction_read_only') = 'on' AS read_only
FROM payments JOIN orders ON orders.id = payments.order_id
WHERE payments.status IN ('pending', 'captured')
  AND orders.state IN ('cancelled', 'rejected', 'failed', 'timed_out')
"""


async def read_totals(pool: Pool, *, overdue_after: timedelta) -> Totals:
    """Count them; `overdue_after` is the age at which an open order should have ended long ago.

    Raises:
        UNAVAILABLE: Postgres is away; one that takes no writes is that to the fleet.
    """
    rows = await pool.fetch(_OPEN, overdue_after)
    counts = {OrderState(row["state"]): row["count"] for row in rows}
    refunds = await pool.fetchrow(_REFUNDS)
    if refunds and refunds["read_only"]:
        raise asyncpg.ReadOnlySQLTransactionError("it takes no writes")
    return Totals(
        open={state: counts.get(state, 0) for state in sorted(OPEN_STATES)},
        overdue=sum(row["old"] for row in rows),
        pending_refunds=refunds["count"] if refunds else 0,
        oldest_refund_seconds=max(refunds["oldest"], 0.0) if refunds else 0.0,
    )
