"""Totals over all orders, exported by the API every few seconds. Both queries use an index."""

from datetime import timedelta
from typing import Final

import asyncpg
from msgspec import Struct

from orderfleet.domain.orders import OPEN_STATES, OrderState
from orderfleet.store.pool import Pool


class Totals(Struct, frozen=True):
    """Open orders, and payments that must be refunded or voided."""

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

# From the order's end, not from the row's time, which events after the end renew.
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
    """Count the orders; an open order older than `overdue_after` is overdue.

    Raises:
        UNAVAILABLE: Postgres is unavailable, or takes no writes.
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
