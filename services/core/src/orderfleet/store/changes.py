"""Cancel, change of address and review: the statements that compete with dispatch, charge and end.

A change is known by its kind, its id and who made it. It is applied once; one that comes too late
leaves its own `*_refused` event under the same key. What an event says of a change is all of it, so
the event also tells a repeat from another change of the same id.
"""

from collections.abc import Callable
from enum import Enum, auto
from typing import Any, Final

import msgspec
from msgspec import Struct

from orderfleet.domain.contract import AddressChange, Cancel, Change, Review
from orderfleet.domain.orders import OrderState
from orderfleet.store.pool import Pool
from orderfleet.store.transitions import Event, Transition, change_address, move, note

CANCELLED: Final = OrderState.CANCELLED.value
ADDRESS_UPDATED: Final = "address_updated"
REVIEWED: Final = "reviewed"
_REFUSED: Final = {
    CANCELLED: "cancel_refused",
    ADDRESS_UPDATED: "address_update_refused",
    REVIEWED: "review_refused",
}
_REVIEW_IS_OVER: Final = "the review is over"


class Changed(Struct, frozen=True):
    """How a change came out, and the order's state after it."""

    applied: bool
    state: OrderState
    reason: str = ""


class Verdict(Enum):
    """What the record says of a change."""

    APPLIED = auto()
    REFUSED = auto()
    OTHER = auto()
    """Another change of the same actor has its id."""


class OnRecord(Struct, frozen=True):
    """What the record says of a change, and why it was refused."""

    verdict: Verdict
    reason: str = ""


async def cancel_order(
    pool: Pool,
    order_id: str,
    change: Cancel,
    tell: Callable[[Transition | None], None] | None = None,
) -> Changed | None:
    """Cancel the order, unless a dispatch has claimed it or it has ended; None if it is unknown.

    `tell` hears what the statement itself found and did.
    """
    moved = await move(pool, order_id, [_event(change)], to=OrderState.CANCELLED)
    if tell is not None:
        tell(moved)
    if moved is not None and not moved.applied and moved.state is OrderState.CANCELLED:
        return Changed(applied=True, state=moved.state)
    return await _outcome(pool, order_id, change, moved)


async def update_address(pool: Pool, order_id: str, change: AddressChange) -> Changed | None:
    """Change the address, unless a dispatch has claimed it; None if the order is unknown."""
    moved = await change_address(pool, order_id, change.address, _event(change))
    return await _outcome(pool, order_id, change, moved)


async def review_order(pool: Pool, order_id: str, review: Review, named: Review) -> Changed | None:
    """Record a person's decision, unless the order has left its review; None if it is unknown.

    Args:
        pool: the connections.
        order_id: the order.
        review: the decision as it came.
        named: the same with an id, by which a refusal is known.
    """
    moved = await move(pool, order_id, [reviewed(review)], before=frozenset({OrderState.IN_REVIEW}))
    return await _outcome(pool, order_id, named, moved, said=review)


def reviewed(review: Review) -> Event:
    """Return the event of an order's review: there is one, whoever decided."""
    return Event(REVIEWED, REVIEWED, _payload(review))


async def on_record(
    pool: Pool, order_id: str, change: Change, said: Review | None = None
) -> OnRecord | None:
    """Return what the record says of a change; None if it does not have it.

    Args:
        pool: the connections.
        order_id: the order.
        change: the change; it has an id.
        said: a review as it came, if `change` has an id that was made for it.
    """
    if isinstance(change, Review):
        reviewed = await _find(pool, order_id, REVIEWED)
        if reviewed is not None and reviewed.payload == _payload(said or change):
            return OnRecord(Verdict.APPLIED)
        if reviewed is not None and _is_same_id(reviewed.payload, change):
            return OnRecord(Verdict.OTHER)
    found = await _find(pool, order_id, event_key(change))
    if found is None:
        return None
    if found.type != kind_of(change):
        # What was said the first time: the order may have gone on since.
        return OnRecord(Verdict.REFUSED, found.payload["reason"])
    same = found.payload == _payload(change)
    return OnRecord(Verdict.APPLIED if same else Verdict.OTHER)


async def refuse(
    pool: Pool, order_id: str, change: Change, *, reason: str, said: Review | None = None
) -> OnRecord:
    """Record that a change came too late, unless the record has it: return what stands there."""
    found = await on_record(pool, order_id, change, said)
    if found is None:
        payload = _given(reason=reason, actor=change.actor)
        refusal = Event(_REFUSED[kind_of(change)], event_key(change), payload)
        await note(pool, order_id, refusal)
        # It may have been applied meanwhile.
        found = await on_record(pool, order_id, change, said)
    return found or OnRecord(Verdict.REFUSED, reason)


async def _outcome(
    pool: Pool, order_id: str, change: Change, moved: Transition | None, said: Review | None = None
) -> Changed | None:
    if moved is None:
        return None
    if moved.moved:
        return Changed(applied=True, state=moved.state)
    reason = too_late(moved.state, change)
    found = await refuse(pool, order_id, change, reason=reason, said=said)
    return Changed(found.verdict is Verdict.APPLIED, moved.state, found.reason)


def too_late(state: OrderState, change: Change | None = None) -> str:
    """Return why an order in this state does not take a change any more."""
    if state.ended:
        return f"order is {state}"
    if isinstance(change, Review):
        return _REVIEW_IS_OVER
    if state is OrderState.DISPATCHING:
        return "already dispatched"
    # Its row is open, and nobody is there to change it: ReconcileOrders ends it.
    return "the order's time is over"


def kind_of(change: Change) -> str:
    """Return the type of the event that an applied change leaves."""
    match change:
        case Cancel():
            return CANCELLED
        case AddressChange():
            return ADDRESS_UPDATED
        case Review():
            return REVIEWED


def _event(change: Change) -> Event:
    return Event(kind_of(change), event_key(change), _payload(change))


def event_key(change: Change) -> str:
    """Return the key of a change's event, applied or refused; a review's if it is refused."""
    if change.change_id is None:
        raise ValueError("a change without an id reached the store")
    # Callers choose the id: bare, `ended` would be taken for the order's own end. An id has no
    # space, so those of two actors never look alike.
    by = f" {change.actor}" if change.actor else ""
    return f"{kind_of(change)}/{change.change_id}{by}"


def _payload(change: Change) -> dict[str, Any]:
    match change:
        case Cancel(reason=reason, actor=actor):
            return _given(reason=reason, actor=actor)
        case AddressChange(address=address, actor=actor):
            return {"address": msgspec.to_builtins(address), **_given(actor=actor)}
        case Review(approved=approved, reviewer=by, reason=reason, change_id=id_, actor=actor):
            given = _given(by=by, reason=reason, change_id=id_ or "", actor=actor)
            return {"approved": approved, **given}


def _is_same_id(payload: dict[str, Any], review: Review) -> bool:
    recorded = payload.get("change_id"), payload.get("actor", "")
    return recorded == (review.change_id, review.actor)


def _given(**values: str) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value}


async def _find(pool: Pool, order_id: str, key: str) -> Event | None:
    row = await pool.fetchrow(
        "SELECT type, event_key, payload_json FROM events WHERE order_id = $1 AND event_key = $2",
        order_id,
        key,
    )
    return None if row is None else Event(row["type"], row["event_key"], row["payload_json"])
