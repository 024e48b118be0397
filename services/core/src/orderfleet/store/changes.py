"""Cancel and change of address: the statements that compete with the dispatch claim.

A change is known by its kind and id. It is applied once; one that comes too late leaves its own
`*_refused` event under the same key.
"""

from collections.abc import Callable
from typing import Any, Final

from msgspec import Struct

from orderfleet.messages import AddressChange, Cancel
from orderfleet.orders import OrderState
from orderfleet.store.pool import Pool
from orderfleet.store.reads import event_type
from orderfleet.store.steps import Event, Moved, change_address, move, note

CANCELLED: Final = OrderState.CANCELLED.value
ADDRESS_UPDATED: Final = "address_updated"
REVIEWED: Final = "reviewed"
_REFUSED: Final = {
    CANCELLED: "cancel_refused",
    ADDRESS_UPDATED: "address_update_refused",
    REVIEWED: "review_refused",
}


class Changed(Struct, frozen=True):
    """How a change came out, and the order's state after it."""

    applied: bool
    state: OrderState
    reason: str = ""


async def cancel_order(
    pool: Pool, order_id: str, change: Cancel, tell: Callable[[Moved | None], None] | None = None
) -> Changed | None:
    """Cancel the order, unless a dispatch has claimed it or it has ended; None if it is unknown.

    `tell` hears what the statement itself found and did.
    """
    change_id = _id_of(change)
    payload = _given(reason=change.reason, actor=change.actor)
    event = Event(CANCELLED, _key(CANCELLED, change_id), payload)
    moved = await move(pool, order_id, [event], to=OrderState.CANCELLED)
    if tell is not None:
        tell(moved)
    if moved is not None and not moved.applied and moved.state is OrderState.CANCELLED:
        return Changed(applied=True, state=moved.state)
    return await _outcome(pool, order_id, CANCELLED, change_id, moved)


async def update_address(pool: Pool, order_id: str, change: AddressChange) -> Changed | None:
    """Change the address, unless a dispatch has claimed it; None if the order is unknown."""
    change_id = _id_of(change)
    payload = {"address": change.address, **_given(actor=change.actor)}
    event = Event(ADDRESS_UPDATED, _key(ADDRESS_UPDATED, change_id), payload)
    moved = await change_address(pool, order_id, change.address, event)
    return await _outcome(pool, order_id, ADDRESS_UPDATED, change_id, moved)


async def refuse(
    pool: Pool, order_id: str, kind: str, change_id: str, *, reason: str, actor: str = ""
) -> bool:
    """Record that a change came too late; return True if it had been applied before after all."""
    event = Event(_REFUSED[kind], _key(kind, change_id), _given(reason=reason, actor=actor))
    await note(pool, order_id, event)
    return await event_type(pool, order_id, event.key) == kind


async def _outcome(
    pool: Pool, order_id: str, kind: str, change_id: str, moved: Moved | None
) -> Changed | None:
    if moved is None:
        return None
    if moved.moved:
        return Changed(applied=True, state=moved.state)
    reason = too_late(moved.state)
    applied = await refuse(pool, order_id, kind, change_id, reason=reason)
    return Changed(applied=applied, state=moved.state, reason="" if applied else reason)


def too_late(state: OrderState) -> str:
    """Return why an order in this state takes no more changes."""
    if state is OrderState.DISPATCHING:
        return "already dispatched"
    return f"order is {state}"


def _id_of(change: Cancel | AddressChange) -> str:
    if change.change_id is None:
        raise ValueError("a change without an id reached the store")
    return change.change_id


def _key(kind: str, change_id: str) -> str:
    # Callers choose the id: bare, `ended` would be taken for the order's own end.
    return f"{kind}/{change_id}"


def _given(**values: str) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value}
