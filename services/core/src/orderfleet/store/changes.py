"""Cancel, change of address and review: the statements that compete with dispatch, charge and end.

A change is known by its kind, its id and who made it. It is applied once; one that comes too late
leaves its own `*_refused` event under the same key. What an event says of a change is all of it, so
the event also tells a repeat from another change of the same id.
"""

from collections.abc import Callable
from enum import Enum, auto
from typing import Any

from msgspec import Struct

from orderfleet.domain import events
from orderfleet.domain.contract import AddressChange, Cancel, Change, ChangeOutcome, Review
from orderfleet.domain.events import Event, EventType
from orderfleet.domain.orders import OrderState
from orderfleet.store.pool import Pool
from orderfleet.store.transitions import Transition, append_event, change_address, move


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
) -> ChangeOutcome | None:
    """Cancel the order, unless a dispatch has claimed it or it has ended; None if it is unknown.

    `tell` hears what the statement itself found and did.
    """
    moved = await move(pool, order_id, [events.applied(change)], to=OrderState.CANCELLED)
    if tell is not None:
        tell(moved)
    if moved is not None and not moved.applied and moved.state is OrderState.CANCELLED:
        return ChangeOutcome(applied=True, state=moved.state)
    return await _outcome(pool, order_id, change, moved)


async def update_address(pool: Pool, order_id: str, change: AddressChange) -> ChangeOutcome | None:
    """Change the address, unless a dispatch has claimed it; None if the order is unknown."""
    moved = await change_address(pool, order_id, change.address, events.applied(change))
    return await _outcome(pool, order_id, change, moved)


async def review_order(
    pool: Pool, order_id: str, review: Review, named: Review
) -> ChangeOutcome | None:
    """Record a person's decision, unless the order has left its review; None if it is unknown.

    Args:
        pool: the connections.
        order_id: the order.
        review: the decision as it came.
        named: the same with an id, by which a refusal is known.
    """
    moved = await move(
        pool, order_id, [events.reviewed(review)], before=frozenset({OrderState.IN_REVIEW})
    )
    return await _outcome(pool, order_id, named, moved, said=review)


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
        reviewed = await _find(pool, order_id, EventType.REVIEWED)
        if reviewed is not None and reviewed.payload == events.change_payload(said or change):
            return OnRecord(Verdict.APPLIED)
        if reviewed is not None and _is_same_id(reviewed.payload, change):
            return OnRecord(Verdict.OTHER)
    found = await _find(pool, order_id, events.change_key(change))
    if found is None:
        return None
    if found.type != events.change_type(change):
        # What was said the first time: the order may have gone on since.
        return OnRecord(Verdict.REFUSED, found.payload["reason"])
    same = found.payload == events.change_payload(change)
    return OnRecord(Verdict.APPLIED if same else Verdict.OTHER)


async def refuse(
    pool: Pool, order_id: str, change: Change, *, reason: str, said: Review | None = None
) -> OnRecord:
    """Record that a change came too late, unless the record has it: return what stands there."""
    found = await on_record(pool, order_id, change, said)
    if found is None:
        await append_event(pool, order_id, events.refused(change, reason))
        # It may have been applied meanwhile.
        found = await on_record(pool, order_id, change, said)
    return found or OnRecord(Verdict.REFUSED, reason)


async def _outcome(
    pool: Pool, order_id: str, change: Change, moved: Transition | None, said: Review | None = None
) -> ChangeOutcome | None:
    if moved is None:
        return None
    if moved.moved:
        return ChangeOutcome(applied=True, state=moved.state)
    reason = events.too_late(moved.state, change)
    found = await refuse(pool, order_id, change, reason=reason, said=said)
    return ChangeOutcome(found.verdict is Verdict.APPLIED, moved.state, found.reason)


def _is_same_id(payload: dict[str, Any], review: Review) -> bool:
    recorded = payload.get("change_id"), payload.get("actor", "")
    return recorded == (review.change_id, review.actor)


async def _find(pool: Pool, order_id: str, key: str) -> Event | None:
    row = await pool.fetchrow(
        "SELECT type, event_key, payload_json FROM events WHERE order_id = $1 AND event_key = $2",
        order_id,
        key,
    )
    return (
        None
        if row is None
        else Event(EventType(row["type"]), row["event_key"], row["payload_json"])
    )
