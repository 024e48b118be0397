"""A page of orders, and the cursor to the next one."""

from datetime import UTC, datetime, timedelta
from typing import Final

from orderfleet.domain.orders import ID_PATTERN, OrderState
from orderfleet.store import queries
from orderfleet.store.queries import OrderSummary
from orderfleet_api.backends import Backends, postgres
from orderfleet_api.schemas import OrderList

# The listing's sort key of the page's last order: when it was created, in microseconds, and its id.
# Any text that matches the pattern is a place in the listing.
CURSOR_PATTERN: Final = r"^[0-9]{1,16}\." + ID_PATTERN.removeprefix("^")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


async def page(
    backends: Backends, *, state: OrderState | None, limit: int, cursor: str | None
) -> OrderList:
    """Return one page of the listing, newest first."""
    before = None if cursor is None else _decode(cursor)
    async with backends.bulkheads.reads:
        with postgres():
            # One more than the limit: if it comes, there is a next page.
            rows = await queries.list_orders(
                backends.pool, state=state, before=before, limit=limit + 1
            )
    orders = rows[:limit]
    return OrderList(orders, _encode(orders[-1]) if len(rows) > limit else None)


def _encode(last: OrderSummary) -> str:
    return f"{(last.created_at - _EPOCH) // _MICROSECOND}.{last.id}"


def _decode(cursor: str) -> tuple[datetime, str]:
    created_at, order_id = cursor.split(".", 1)
    return _EPOCH + int(created_at) * _MICROSECOND, order_id
