"""Changes queued as signals: each gets its event, even if no workflow handles the signal.

A workflow that the server closes loses its signals. So a queued change is stored here, and refused
if it has no event when its order has ended.
"""

from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec
from msgspec import Struct

from orderfleet.domain.contract import AddressChange, Cancel, Change
from orderfleet.domain.events import EventType, change_key, change_type, too_late
from orderfleet.domain.orders import OPEN_STATES, OrderState
from orderfleet.store.changes import refuse
from orderfleet.store.pool import Pool

_PAGE: Final = 500
_TYPES: Final[dict[str, Any]] = {
    EventType.CANCELLED: Cancel,
    EventType.ADDRESS_UPDATED: AddressChange,
}
_ASK: Final = """
INSERT INTO change_requests AS kept (order_id, event_key, kind, change_json)
SELECT $1::text, $2, $3, $4
WHERE NOT EXISTS (SELECT FROM orders WHERE id = $1::text AND forgotten_at IS NOT NULL)
ON CONFLICT (order_id, event_key) DO UPDATE SET kind = kept.kind RETURNING change_json
"""
_OF_ENDED_ORDERS: Final = """
SELECT change_requests.order_id, event_key, kind, change_json, orders.state
FROM change_requests JOIN orders ON orders.id = change_requests.order_id
WHERE orders.state <> ALL($1) AND (change_requests.order_id, event_key) > ($2, $3)
ORDER BY change_requests.order_id, event_key LIMIT $4
"""


class Request(Struct, frozen=True):
    """A queued change, and the end of its order."""

    order_id: str
    event_key: str
    change: Change
    state: OrderState


async def ask(pool: Pool, order_id: str, change: Change) -> bool:
    """Store a change before its signal is sent; False if its id names another change.

    Of a forgotten order nothing is stored: it has no workflow that could take the signal.
    """
    request = msgspec.to_builtins(change)
    kept = await pool.fetchval(_ASK, order_id, change_key(change), change_type(change), request)
    return kept is None or bool(kept == request)


async def of_ended_orders(pool: Pool) -> AsyncIterator[Request]:
    """Yield the stored changes of orders that have ended, page by page."""
    last = ("", "")
    while rows := await pool.fetch(_OF_ENDED_ORDERS, sorted(OPEN_STATES), *last, _PAGE):
        for order_id, key, kind, kept, state in rows:
            last = (order_id, key)
            change = msgspec.convert(kept, _TYPES[kind])
            yield Request(order_id, key, change, OrderState(state))


async def answer(pool: Pool, request: Request) -> None:
    """Refuse a stored change unless it has its event; then delete it."""
    # A cancel of a cancelled order has its answer, whichever id has cancelled the order.
    cancelled = request.state is OrderState.CANCELLED and isinstance(request.change, Cancel)
    if not cancelled:
        reason = too_late(request.state)
        await refuse(pool, request.order_id, request.change, reason=reason)
    await pool.execute(
        "DELETE FROM change_requests WHERE order_id = $1 AND event_key = $2",
        request.order_id,
        request.event_key,
    )
