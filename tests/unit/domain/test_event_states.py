import pytest

from orderfleet.domain.event_states import state_after
from orderfleet.domain.events import EventType
from orderfleet.domain.orders import OrderState

_TO_CHARGED = ["received", "validated", "reviewed", "charging", "charged"]


@pytest.mark.parametrize(
    ("types", "state"),
    [
        ([], OrderState.RECEIVED),
        (["received"], OrderState.RECEIVED),
        (["received", "validated", "reviewed", "address_updated"], OrderState.IN_REVIEW),
        ([*_TO_CHARGED, "prepared", "dispatching"], OrderState.DISPATCHING),
        ([*_TO_CHARGED, "prepared", "dispatching", "dispatch_failed"], OrderState.SHIPPING),
        ([*_TO_CHARGED, "prepared", "dispatch_failed"], OrderState.SHIPPING),
        ([*_TO_CHARGED, "prepared", "dispatching", "dispatching"], OrderState.DISPATCHING),
        ([*_TO_CHARGED, "prepared", "dispatching", "fulfilled", "forgotten"], OrderState.FULFILLED),
        (["received", "validated", "charging", "cancelled", "charged"], OrderState.CANCELLED),
        (["received", "validated", "charging", "failed", "voided"], OrderState.FAILED),
        # The carrier has delivered, whatever the order's end was.
        ([*_TO_CHARGED, "prepared", "dispatching", "timed_out", "fulfilled"], OrderState.FULFILLED),
        (["received", "rejected"], OrderState.REJECTED),
        (["received", "of_a_newer_release"], OrderState.RECEIVED),
    ],
)
def test_the_state_after_an_event(types: list[str], state: OrderState) -> None:
    assert state_after(types) is state


def test_every_end_is_entered_by_its_event() -> None:
    for end in (state for state in OrderState if state.ended):
        types = [EventType.RECEIVED, EventType.VALIDATED, EventType(end.value)]
        assert state_after(types) is end
