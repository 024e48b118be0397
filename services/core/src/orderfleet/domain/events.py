"""The audit log: the types of its events, and the builders of events and their keys.

An order has at most one event per key, which makes every statement idempotent: a repeat finds its
event and changes nothing. All events are built here, so that all writers use the same keys.
"""

from enum import StrEnum
from typing import Any, Final, Self

import msgspec
from msgspec import Struct

from orderfleet.domain.contract import AddressChange, Cancel, Change, Review
from orderfleet.domain.orders import OrderState


class EventType(StrEnum):
    """The audit log's whole vocabulary, each type with its meaning.

    `EventType(text)` reads a type of a newer release too, as a member outside the list with that
    text as its value: such an order stays readable, and its events are passed on as stored.
    """

    meaning: str

    RECEIVED = "received", "the order has its row"
    VALIDATED = "validated", "validation passed; the review is open"
    REVIEWED = "reviewed", "a person or the review's timer has decided"
    CHARGING = "charging", "the payment id is taken; the gateway may be called from here on"
    CHARGED = "charged", "the payment is captured"
    DECLINED = "declined", "the payment gateway refused the charge"
    PREPARED = "prepared", "the package is prepared"
    DISPATCHING = "dispatching", "a shipping attempt has claimed the dispatch; no change is taken"
    DISPATCH_FAILED = "dispatch_failed", "a shipping attempt failed"
    FULFILLED = "fulfilled", "end: the carrier has the package"
    CANCELLED = "cancelled", "end: cancelled before the dispatch"
    REJECTED = "rejected", "end: rejected by validation, by the review, or for its payment id"
    FAILED = "failed", "end: a step failed for good"
    TIMED_OUT = "timed_out", "end: the order's time was over"
    RECALLED = "recalled", "the carrier called the package back, or closed its key"
    VOIDED = "voided", "the payment's key is closed; nothing was captured"
    REFUNDED = "refunded", "the captured payment is given back"
    ADDRESS_UPDATED = "address_updated", "the address was changed"
    CANCEL_REFUSED = "cancel_refused", "a cancel came too late or was malformed"
    ADDRESS_UPDATE_REFUSED = (
        "address_update_refused",
        "a change of address came too late or was malformed",
    )
    REVIEW_REFUSED = "review_refused", "a person's decision came too late"
    DISPATCH_FAILED_REFUSED = "dispatch_failed_refused", "a malformed signal DispatchFailed"
    FORGOTTEN = "forgotten", "the address and every free text of the order are removed"

    def __new__(cls, value: str, meaning: str = "") -> Self:
        """Make a member of its text and its meaning."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, str):
            return None
        member = str.__new__(cls, value)
        member._name_ = member._value_ = value
        member.meaning = "of a newer release"
        return member


class Event(Struct, frozen=True):
    """One line of the audit log."""

    type: EventType
    key: str
    payload: dict[str, Any] = {}


# What stands in a forgotten order for an address's parts and for every free text.
REDACTED: Final = "***"
_REDACTED_VALUES: Final = (REDACTED, {"street": REDACTED, "city": REDACTED})

# Every end has this key, so that an order ends once.
END_KEY: Final = "ended"
_REFUSALS: Final = {
    EventType.CANCELLED: EventType.CANCEL_REFUSED,
    EventType.ADDRESS_UPDATED: EventType.ADDRESS_UPDATE_REFUSED,
    EventType.REVIEWED: EventType.REVIEW_REFUSED,
}


# --- Steps -----------------------------------------------------------------------------------


def done(type_: EventType, attempt: int) -> Event:
    """Return the event of a step that an order takes once, by whichever attempt."""
    return Event(type_, type_, {"attempt": attempt})


def declined(reason: str) -> Event:
    """Return the event of a charge that the payment gateway refused."""
    return Event(EventType.DECLINED, EventType.DECLINED, {"reason": reason})


def dispatch_failed(attempt: int, reason: str) -> Event:
    """Return the event of a failed shipping attempt, the same whoever writes it first."""
    type_ = EventType.DISPATCH_FAILED
    return Event(type_, f"{type_}/{attempt}", {"attempt": attempt, "reason": reason})


def recalled(carrier_key: str, *, called_back: bool = True) -> Event:
    """Return the event of a key at the carrier from which no package arrives any more."""
    type_ = EventType.RECALLED
    return Event(type_, f"{type_}/{carrier_key}", {"called_back": called_back})


def fulfilled(tracking: str) -> Event:
    """Return the event of the end that a dispatch writes."""
    return Event(EventType.FULFILLED, END_KEY, {"tracking": tracking})


def ended(state: OrderState, reason: str) -> Event:
    """Return the event of an end without fulfilment."""
    return Event(EventType(state.value), END_KEY, {"reason": reason})


# --- Changes ---------------------------------------------------------------------------------


def reviewed(review: Review) -> Event:
    """Return the event of an order's review: there is one, whoever decided."""
    return Event(EventType.REVIEWED, EventType.REVIEWED, change_payload(review))


def applied(change: Change) -> Event:
    """Return the event of a change that took effect."""
    return Event(change_type(change), change_key(change), change_payload(change))


def refused(change: Change, reason: str) -> Event:
    """Return the event of a change that came too late: under the key that it would have had."""
    type_ = _REFUSALS[change_type(change)]
    return Event(type_, change_key(change), _filled(reason=reason, actor=change.actor))


def change_type(change: Change) -> EventType:
    """Return the type of the event that an applied change leaves."""
    match change:
        case Cancel():
            return EventType.CANCELLED
        case AddressChange():
            return EventType.ADDRESS_UPDATED
        case Review():
            return EventType.REVIEWED


def change_key(change: Change) -> str:
    """Return the key of a change's event, applied or refused; a review's only if it is refused.

    Raises:
        ValueError: the change has no id.
    """
    if change.change_id is None:
        raise ValueError("a change without an id has no event key")
    # Callers choose the id: bare, `ended` would be taken for the order's own end. An id has no
    # space, so those of two actors never look alike.
    by = f" {change.actor}" if change.actor else ""
    return f"{change_type(change)}/{change.change_id}{by}"


def change_payload(change: Change) -> dict[str, Any]:
    """Return all that a change says: it tells a repeat from another change of the same id."""
    match change:
        case Cancel(reason=reason, actor=actor):
            return _filled(reason=reason, actor=actor)
        case AddressChange(address=address, actor=actor):
            return {"address": msgspec.to_builtins(address), **_filled(actor=actor)}
        case Review(approved=approved, reviewer=by, reason=reason, change_id=id_, actor=actor):
            filled = _filled(by=by, reason=reason, change_id=id_ or "", actor=actor)
            return {"approved": approved, **filled}


def is_same(recorded: dict[str, Any], change: Change) -> bool:
    """Tell whether an event's payload is that of this change, as far as it is not redacted."""
    payload = change_payload(change)
    return recorded.keys() == payload.keys() and all(
        value == payload[name] or value in _REDACTED_VALUES for name, value in recorded.items()
    )


def too_late(state: OrderState, change: Change | None = None) -> str:
    """Return why an order in this state does not take a change any more."""
    if state.ended:
        return f"order is {state}"
    if isinstance(change, Review):
        return "the review is over"
    if state is OrderState.DISPATCHING:
        return "already dispatched"
    # The row is open, but no workflow is there to change it: ReconcileOrders ends the order.
    return "the order's time is over"


def _filled(**values: str) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value}
