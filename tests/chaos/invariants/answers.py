"""What the API has answered, by what is on record."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

from orderfleet.domain.events import EventType
from orderfleet.domain.orders import OrderState
from tests.chaos.recording import (
    CANCEL,
    CHANGES,
    LIST,
    MOVE,
    PLACE,
    POSTGRES,
    REVIEW,
    SHOW,
    STATUS,
    Call,
    Case,
)

_APPLIED_KEY: Final = {
    CANCEL: EventType.CANCELLED,
    MOVE: EventType.ADDRESS_UPDATED,
    REVIEW: EventType.REVIEWED,
}
_ENDS: Final = frozenset(state.value for state in OrderState if state.ended)
_CLOCK_SECONDS: Final = 0.05
_DOCUMENTED: Final = {
    PLACE: {202, 409, 422, 429, 503},
    REVIEW: {200, 404, 409, 422, 429, 503},
    CANCEL: {200, 202, 404, 409, 422, 429, 503},
    MOVE: {200, 202, 404, 409, 422, 429, 503},
}
_READ: Final = frozenset({200, 404, 429, 503})


def successes_are_true(case: Case) -> Iterator[str]:
    """Judge every 200 of a change or a read, and the contents of every accepted order."""
    for call in case.calls:
        if call.status == 200 and call.operation in CHANGES:
            yield from _applied(case, call)
        elif call.status == 200:
            yield from _read(case, call)
        elif call.status == 202 and call.operation == PLACE:
            yield from _accepted(case, call)


def _applied(case: Case, call: Call) -> Iterator[str]:
    what = f"{call.operation} {call.key} was answered 200"
    match call.operation:
        case "cancel":
            if case.state != OrderState.CANCELLED:
                yield f"{what}, and the order is {case.state}"
        case "move":
            event = case.by_key(f"{EventType.ADDRESS_UPDATED}/{call.key}")
            if event is None or event.type != EventType.ADDRESS_UPDATED:
                yield f"{what}, and the log does not have it"
            elif event.payload["address"] != call.body["address"]:
                yield f"{what} for another address than {event.payload['address']}"
        case _:
            event = case.by_key(EventType.REVIEWED)
            if event is None or event.payload.get("change_id") != call.key:
                yield f"{what}, and the log has {event and event.payload}"
            elif event.payload["approved"] != call.body["approved"]:
                yield f"{what} for the other decision"
            elif not call.body["approved"] and {"charging", "fulfilled"} & set(case.types):
                yield f"{what} for a rejection, and the order went on: {case.types}"
    if isinstance(call.answer, dict) and call.answer.get("change_id") != call.key:
        yield f"{what} with the change {call.answer.get('change_id')}"


def _accepted(case: Case, call: Call) -> Iterator[str]:
    row = case.row
    if row is None:
        return
    if call.body["payment_id"] != row.payment_id:
        yield f"accepted with payment {call.body['payment_id']}, and the row has {row.payment_id}"
    if "items" in call.body and not _same_items(call.body["items"], row.items):
        yield f"accepted with {call.body['items']}, and the row has {row.items}"
    if "items" in call.body and _sum(call.body["items"]) != Decimal(row.amount):
        yield f"accepted {call.body['items']}, and the amount is {row.amount}"
    if case.by_key("received") is None:
        yield "accepted, and never received"


def _sum(items: list[Any]) -> Decimal:
    return sum((item["quantity"] * Decimal(item["price"]) for item in items), Decimal(0))


def _same_items(sent: list[Any], stored: list[Any]) -> bool:
    defaults = {"quantity": 1, "price": "1.00"}
    return [defaults | item for item in sent] == [defaults | item for item in stored]


def _read(case: Case, call: Call) -> Iterator[str]:
    """Judge a read: an end that was shown stays, and a log that was shown only grows."""
    answer = call.answer
    if call.operation not in {SHOW, STATUS, LIST} or not isinstance(answer, dict):
        return
    delivered = case.by_key("delivered") is not None
    unrecorded = answer.get("source") == "workflow" and any(not run.recorded for run in case.runs)
    state = answer.get("state", "")
    if state in _ENDS and state != case.state and not delivered and not unrecorded:
        yield f"{call.operation} said {state}, and the order is {case.state or 'unknown'}"
    if call.operation == SHOW:
        shown = [(event["number"], event["type"]) for event in answer["events"]]
        log = [(event.number, event.type) for event in case.events]
        if shown != log[: len(shown)]:
            yield f"showed the events {shown}, and the log is {log}"


def refusals_are_true(case: Case) -> Iterator[str]:
    """Judge every 409, 422 and 404."""
    for call in case.calls:
        what = f"{call.operation} {call.key} was answered {call.status}"
        if call.operation == PLACE and call.status == 409:
            yield from _conflict(case, call)
        elif call.operation in CHANGES and call.status == 409:
            yield from _too_late(case, call, what)
        elif call.operation in CHANGES and call.status == 422:
            if not any(_is_other(call, other) for other in case.calls):
                yield f"{what}, and no other change had this key"
        elif call.status == 404 and _was_known(case, call):
            yield f"{what}, and the order had been accepted"


def _conflict(case: Case, call: Call) -> Iterator[str]:
    detail = (call.answer or {}).get("detail", "")
    if "belongs to another order" in detail:
        payment_id = call.body["payment_id"]
        if not case.rivals[payment_id]:
            yield f"refused, and no other order has the payment {payment_id}"
    elif case.row is None:
        yield f"refused without another order of this id: {detail}"
    elif call.body["payment_id"] == case.row.payment_id and _same_items(
        call.body.get("items", [{"sku": "ABC"}]), case.row.items
    ):
        yield f"refused the same order: {detail}"


def _too_late(case: Case, call: Call, what: str) -> Iterator[str]:
    applied_key = f"{_APPLIED_KEY[call.operation]}/{call.key}"
    event = case.by_key(applied_key)
    if event is not None and event.type == _APPLIED_KEY[call.operation]:
        yield f"{what}, and it is applied"
    reviewed = case.by_key(EventType.REVIEWED)
    if (
        call.operation == REVIEW
        and reviewed is not None
        and reviewed.payload.get("change_id") == call.key
    ):
        yield f"{what}, and it is the order's review"
    detail = str((call.answer or {}).get("detail", ""))
    before = {event.type for event in case.events if event.at <= call.answered + _CLOCK_SECONDS}
    if detail == "already dispatched" and EventType.DISPATCHING not in before:
        yield f"{what}: {detail}, and no dispatch had begun"
    ended = detail.removeprefix("order is ")
    if ended in _ENDS and ended not in before and all(run.recorded for run in case.runs):
        yield f"{what}: {detail}, and it was not"


def _is_other(call: Call, other: Call) -> bool:
    same_key = (other.operation, other.key) == (call.operation, call.key)
    return same_key and other.body != call.body and other.sent <= call.answered


def _was_known(case: Case, call: Call) -> bool:
    """Tell whether the order had been accepted when the call was sent.

    The row is read alone: Postgres may lose it with a crash, until the order's first step.
    """
    accepted = min((one.answered for one in case.accepted), default=float("inf"))
    lost = any(
        absence.what == POSTGRES
        and absence.since < call.answered
        and absence.until + _ROW_SECONDS > accepted
        for absence in case.absences
    )
    return accepted < call.sent and not lost


_ROW_SECONDS: Final = 5.0


def queued_changes_end(case: Case) -> Iterator[str]:
    """Judge every 202 of a change: by the order's end the log has its outcome."""
    for request in case.queued:
        yield f"the queued change {request.event_key} was never answered"
    for call in case.calls:
        if call.status != 202 or call.operation not in CHANGES:
            continue
        event = case.by_key(f"{_APPLIED_KEY[call.operation]}/{call.key}")
        cancelled = call.operation == CANCEL and case.state == OrderState.CANCELLED
        if event is None and not cancelled:
            yield f"{call.operation} {call.key} was queued, and has no event"


def answers_are_documented(case: Case) -> Iterator[str]:
    """Judge the form of every answer: no 500, errors as problem details, Retry-After."""
    for call in case.calls:
        what = f"{call.operation} was answered {call.status}"
        if not call.status:
            continue
        if call.status not in _DOCUMENTED.get(call.operation, _READ):
            yield f"{what}: {call.answer}"
        elif call.status >= 400 and call.media_type != "application/problem+json":
            yield f"{what} as {call.media_type or 'nothing'}"
        elif call.status in {429, 503} and not call.retry_after:
            yield f"{what} without Retry-After"
        if call.status >= 400 and "Traceback" in str(call.answer):
            yield f"{what} with a traceback"
