"""What ReconcileOrders reads: orders that are open, refunds that are owed, ids without a row.

Both lists are read by keyset pagination: the last page costs as much as the first, and an order
that stays on the list does not block those behind it.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from msgspec import Struct

from orderfleet.domain.orders import OrderState
from orderfleet.store.pool import Pool

_PAGE: Final = 500


class LeftBehind(Struct, frozen=True):
    """An order that ReconcileOrders may have to end or to refund."""

    order_id: str
    payment_id: str
    state: OrderState
    fingerprint: str


# $1 the age, $2 and $3 the key of the last row before, $4 the page's size. Both have an index.
_OPEN: Final = """
SELECT id, payment_id, state, fingerprint, created_at AS at, id AS key FROM orders
WHERE state NOT IN ('fulfilled', 'cancelled', 'rejected', 'failed', 'timed_out')
  AND created_at < now() - $1::interval AND (created_at, id) > ($2, $3)
ORDER BY created_at, id LIMIT $4
"""
# The age counts from the order's end. Later events renew `updated_at`: a repeated cancel would
# delay the refund again and again.
_OWED: Final = """
SELECT orders.id, orders.payment_id, orders.state, orders.fingerprint,
       payments.created_at AS at, payments.payment_id AS key
FROM payments JOIN orders ON orders.id = payments.order_id
WHERE payments.status IN ('pending', 'captured')
  AND orders.state IN ('cancelled', 'rejected', 'failed', 'timed_out')
  AND coalesce(
      (SELECT min(ts) FROM events WHERE order_id = orders.id AND type = orders.state),
      orders.updated_at
  ) < clock_timestamp() - $1::interval
  AND (payments.created_at, payments.payment_id) > ($2, $3)
ORDER BY payments.created_at, payments.payment_id LIMIT $4
"""


async def open_orders(pool: Pool, *, older_than: timedelta) -> AsyncIterator[LeftBehind]:
    """Yield all orders still open that were created longer ago than this, the oldest first."""
    async for order in _paged(pool, _OPEN, older_than):
        yield order


async def owed_refunds(pool: Pool, *, older_than: timedelta) -> AsyncIterator[LeftBehind]:
    """Yield all orders that ended unfulfilled longer ago than this, their money not yet back."""
    async for order in _paged(pool, _OWED, older_than):
        yield order


async def unknown_orders(pool: Pool, order_ids: Sequence[str]) -> list[str]:
    """Return those of the ids that Postgres has no row of."""
    rows = await pool.fetch(
        "SELECT id FROM unnest($1::text[]) AS given (id)"
        " WHERE NOT EXISTS (SELECT FROM orders WHERE orders.id = given.id)",
        list(order_ids),
    )
    return [row["id"] for row in rows]


async def _paged(pool: Pool, query: str, older_than: timedelta) -> AsyncIterator[LeftBehind]:
    after = (datetime.min.replace(tzinfo=UTC), "")
    while True:
        rows: list[Any] = await pool.fetch(query, older_than, *after, _PAGE)
        for row in rows:
            state = OrderState(row["state"])
            yield LeftBehind(row["id"], row["payment_id"], state, row["fingerprint"])
        if len(rows) < _PAGE:
            return
        after = (rows[-1]["at"], rows[-1]["key"])
