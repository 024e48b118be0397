"""The state that each event of the audit log left its order in."""

from collections.abc import Iterable
from functools import reduce
from typing import Final

from orderfleet.domain.events import EventType
from orderfleet.domain.orders import TRANSITIONS, OrderState

# The types that enter a state; all others keep it.
_ENTERS: Final[dict[str, OrderState]] = {
    EventType.RECEIVED: OrderState.RECEIVED,
    EventType.VALIDATED: OrderState.IN_REVIEW,
    EventType.CHARGING: OrderState.CHARGING,
    EventType.CHARGED: OrderState.CHARGED,
    EventType.PREPARED: OrderState.SHIPPING,
    EventType.DISPATCHING: OrderState.DISPATCHING,
    EventType.DISPATCH_FAILED: OrderState.SHIPPING,
    EventType.FULFILLED: OrderState.FULFILLED,
    EventType.CANCELLED: OrderState.CANCELLED,
    EventType.REJECTED: OrderState.REJECTED,
    EventType.FAILED: OrderState.FAILED,
    EventType.TIMED_OUT: OrderState.TIMED_OUT,
}


def state_after(types: Iterable[str]) -> OrderState:
    """Return the state of an order whose audit log has events of these types, in their order."""
    return reduce(_enter, types, OrderState.RECEIVED)


def _enter(state: OrderState, type_: str) -> OrderState:
    """Return the state after an event: a capture that is recorded late does not open an order."""
    entered = _ENTERS.get(type_, state)
    # The carrier's delivery also replaces an end (`store/restore.py`).
    if entered in TRANSITIONS[state] or entered is OrderState.FULFILLED:
        return entered
    return state
