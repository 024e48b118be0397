"""What happened to an order, beside what its customer asked for."""

from collections.abc import Iterator

from orderfleet.domain.events import EventType
from orderfleet.domain.orders import OrderState
from tests.chaos.recording import CANCEL, MOVE, PLACE, REVIEW, Case

_ASKED = {EventType.CANCELLED: CANCEL, EventType.ADDRESS_UPDATED: MOVE}


def nothing_happens_unasked(case: Case) -> Iterator[str]:
    """Judge that changes were sent, answered or not, and that rejections have a cause."""
    sent = {(call.operation, call.key) for call in case.calls}
    for event in case.events:
        operation = _ASKED.get(EventType(event.type))
        if operation and (operation, event.key.partition("/")[2]) not in sent:
            yield f"{event.type} as {event.key}, and no {operation} was sent with that key"
        by_timer = event.payload.get("by") == "timer"
        if event.type == EventType.REVIEWED and not by_timer:
            key = event.payload.get("change_id", "")
            if (REVIEW, key) not in sent:
                yield f"reviewed as {key}, and no review was sent with that key"
    if case.state == OrderState.REJECTED and not _has_cause(case):
        yield "rejected, and nobody did, it has items, and its payment is its own"


def _has_cause(case: Case) -> bool:
    return (
        (case.row is not None and bool(case.rivals[case.row.payment_id]))
        or any(call.operation == REVIEW and not call.body["approved"] for call in case.calls)
        or any(call.operation == PLACE and not call.body.get("items") for call in case.calls)
    )
