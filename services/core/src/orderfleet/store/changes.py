"""Cancel, change of address and review: the statements that compete with dispatch, charge and end.

A change is identified by its type, its id and its actor, and applied once. A change that comes too
late leaves a `*_refused` event under the same key. An event's payload has the whole change, so it
also distinguishes a repeat from another change of the same id.
"""

from collections.abc import Callable
from enum import Enum, auto
from typing import Any, Final

from msgspec import Struct

from orderfleet.domain import events
from orderfleet.domain.contract import AddressChange, Cancel, Change, ChangeOutcome, Review
from orderfleet.domain.events import Event, EventType
from orderfleet.domain.orders import OrderState
from orderfleet.store.pool import Pool
from orderfleet.store.transitions import Transition, append_event, change_address, move

# Stands for a reason that is gone.
_FORGOTTEN: Final = "order is forgotten"


class Verdict(Enum):
    """What the audit log has of a change."""

    APPLIED = auto()
    REFUSED = auto()
    OTHER = auto()
    """Another change of the same actor has this id."""


class OnRecord(Struct, frozen=True):
    """What the audit log has of a change, and why it was refused."""

    verdict: Verdict
    reason: str = ""


async def cancel_order(
    pool: Pool,
    order_id: str,
    change: Cancel,
    on_transition: Callable[[Transition | None], None] | None = None,
) -> ChangeOutcome | None:
    """Cancel the order, unless a dispatch has claimed it or it has ended; None if it is unknown.

    `on_transition` is called with what the statement itself did.
    """
    transition = await move(pool, order_id, [events.applied(change)], to=OrderState.CANCELLED)
    if on_transition is not None:
        on_transition(transition)
    if (
        transition is not None
        and not transition.applied
        and transition.state is OrderState.CANCELLED
    ):
        return ChangeOutcome(applied=True, state=transition.state)
    return await _outcome(pool, order_id, change, transition)


async def update_address(pool: Pool, order_id: str, change: AddressChange) -> ChangeOutcome | None:
    """Change the address, unless it is too late; None if the order is unknown."""
    transition = await change_address(pool, order_id, change.address, events.applied(change))
    return await _outcome(pool, order_id, change, transition)


async def review_order(
    pool: Pool, order_id: str, review: Review, named: Review
) -> ChangeOutcome | None:
    """Record a person's decision, unless the order has left its review; None if it is unknown.

    Args:
        pool: the connections.
        order_id: the order.
        review: the decision as received.
        named: the same with an id, for the key of a refusal.
    """
    transition = await move(
        pool, order_id, [events.reviewed(review)], before=frozenset({OrderState.IN_REVIEW})
    )
    return await _outcome(pool, order_id, named, transition, received=review)


async def on_record(
    pool: Pool, order_id: str, change: Change, received: Review | None = None
) -> OnRecord | None:
    """Return what the audit log has of a change; None if nothing.

    Args:
        pool: the connections.
        order_id: the order.
        change: the change, with an id.
        received: a review as received, if the id in `change` was generated.
    """
    if isinstance(change, Review):
        reviewed = await _find(pool, order_id, EventType.REVIEWED)
        if reviewed is not None and events.is_same(reviewed.payload, received or change):
            return OnRecord(Verdict.APPLIED)
        if reviewed is not None and _is_same_id(reviewed.payload, change):
            return OnRecord(Verdict.OTHER)
    event = await _find(pool, order_id, events.change_key(change))
    if event is None:
        return None
    if event.type != events.change_type(change):
        # The reason of the first time: the order may have moved on since.
        reason = event.payload["reason"]
        return OnRecord(Verdict.REFUSED, _FORGOTTEN if reason == events.REDACTED else reason)
    same = events.is_same(event.payload, change)
    return OnRecord(Verdict.APPLIED if same else Verdict.OTHER)


async def refuse(
    pool: Pool, order_id: str, change: Change, *, reason: str, received: Review | None = None
) -> OnRecord:
    """Record that a change came too late, unless the log has it; return what the log has then."""
    record = await on_record(pool, order_id, change, received)
    if record is None:
        await append_event(pool, order_id, events.refused(change, reason))
        # The change may have been applied in the meantime.
        record = await on_record(pool, order_id, change, received)
    return record or OnRecord(Verdict.REFUSED, reason)


async def _outcome(
    pool: Pool,
    order_id: str,
    change: Change,
    transition: Transition | None,
    received: Review | None = None,
) -> ChangeOutcome | None:
    if transition is None:
        return None
    if transition.moved:
        return ChangeOutcome(applied=True, state=transition.state)
    reason = events.too_late(transition.state, change)
    record = await refuse(pool, order_id, change, reason=reason, received=received)
    return ChangeOutcome(record.verdict is Verdict.APPLIED, transition.state, record.reason)


def _is_same_id(payload: dict[str, Any], review: Review) -> bool:
    recorded = payload.get("change_id"), payload.get("actor", "")
    return recorded == (review.change_id, review.actor)


async def _find(pool: Pool, order_id: str, key: str) -> Event | None:
    row = await pool.fetchrow(
        "SELECT type, event_key, payload_json FROM events WHERE order_id = $1 AND event_key = $2",
        order_id,
        key,
    )
    if row is None:
        return None
    return Event(EventType(row["type"]), row["event_key"], row["payload_json"])
