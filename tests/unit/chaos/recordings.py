"""A good recording, and what turns it into a bad one."""

from typing import Any

import msgspec

from tests.chaos.recording import (
    CANCEL,
    MOVE,
    PLACE,
    REVIEW,
    SHOW,
    Call,
    EventLine,
    LedgerCharge,
    LedgerShipment,
    Payment,
    Recording,
    Row,
    Run,
    Streamed,
)

BEGAN = 1000.0
HOME = {"street": "1 Main St", "city": "Springfield"}
ELSEWHERE = {"street": "2 Main St", "city": "Springfield"}
ITEMS = [{"sku": "A", "quantity": 2, "price": "1.50"}]
FULFILLED, CANCELLED = "plain-1-0", "plain-1-1"


def row(order_id: str, state: str, events: int, **changes: Any) -> Row:
    values = {
        "id": order_id,
        "payment_id": f"pay-{order_id}",
        "amount": "3.00",
        "currency": "USD",
        "state": state,
        "address": HOME,
        "items": ITEMS,
        "event_count": events,
        "created": BEGAN,
    }
    return msgspec.convert(values | changes, Row)


def events(order_id: str, *lines: tuple[str, str, dict[str, Any]]) -> list[EventLine]:
    return [
        EventLine(
            order_id=order_id, number=at, type=type_, key=key, payload=payload, at=BEGAN + at / 2
        )
        for at, (type_, key, payload) in enumerate(lines, start=1)
    ]


def call(order_id: str, operation: str, status: int, **values: Any) -> Call:
    form = {} if status < 400 else {"media_type": "application/problem+json"}
    times = {"sent": BEGAN + 1, "answered": BEGAN + 1.1}
    return Call(order_id=order_id, operation=operation, status=status, **times | form | values)


def placed(order_id: str, status: int = 202, **values: Any) -> Call:
    body = {"payment_id": f"pay-{order_id}", "address": HOME, "items": ITEMS}
    values = {"sent": BEGAN, "answered": BEGAN + 0.1} | values
    return call(order_id, PLACE, status, **{"body": body, **values})


def run(workflow_id: str, type_: str, result: Any = None, **values: Any) -> Run:
    return Run(
        workflow_id=workflow_id,
        type=type_,
        started=BEGAN,
        closed=BEGAN + 5,
        **{"status": "completed", "result": result, **values},
    )


def good() -> Recording:
    """One order that moved and was fulfilled, and one that was charged, cancelled and refunded."""
    to = {"address": ELSEWHERE}
    fulfilled = events(
        FULFILLED,
        ("received", "received", {}),
        ("validated", "validated", {}),
        ("address_updated", "address_updated/m1", to),
        ("reviewed", "reviewed", {"approved": True, "change_id": "r1"}),
        ("charging", "charging", {}),
        ("charged", "charged", {}),
        ("prepared", "prepared", {}),
        ("dispatching", "dispatching/1.1", {}),
        ("fulfilled", "ended", {"tracking": "T"}),
        ("cancel_refused", "cancelled/c2", {"reason": "order is fulfilled"}),
    )
    cancelled = events(
        CANCELLED,
        ("received", "received", {}),
        ("validated", "validated", {}),
        ("reviewed", "reviewed", {"approved": True, "by": "timer"}),
        ("charging", "charging", {}),
        ("charged", "charged", {}),
        ("cancelled", "cancelled/c1", {}),
        ("refunded", "refunded", {}),
    )
    # The end of a cancel has the cancel's own key.
    return Recording(
        seed=1,
        rows=[
            row(FULFILLED, "fulfilled", len(fulfilled), address=ELSEWHERE),
            row(CANCELLED, "cancelled", len(cancelled)),
        ],
        events=[*fulfilled, *cancelled],
        payments=[
            Payment(payment_id=f"pay-{FULFILLED}", order_id=FULFILLED, status="captured"),
            Payment(payment_id=f"pay-{CANCELLED}", order_id=CANCELLED, status="refunded"),
        ],
        charges=[charge(FULFILLED, "captured"), charge(CANCELLED, "refunded")],
        shipments=[package(FULFILLED, "taken", ELSEWHERE)],
        runs=[
            run(FULFILLED, "OrderWorkflow", {"state": "fulfilled"}, scheduled=["charge"]),
            run(f"{FULFILLED}/shipping/1", "ShippingWorkflow", {}, scheduled=["dispatch"]),
            run(CANCELLED, "OrderWorkflow", {"state": "cancelled"}, scheduled=["charge"]),
            run(f"{CANCELLED}/refund", "RefundWorkflow", {}),
        ],
        calls=[
            placed(FULFILLED),
            placed(CANCELLED),
            call(FULFILLED, MOVE, 200, key="m1", body=to, answer={"change_id": "m1"}),
            call(
                FULFILLED,
                REVIEW,
                200,
                key="r1",
                body={"approved": True},
                answer={"change_id": "r1"},
            ),
            call(
                FULFILLED,
                CANCEL,
                409,
                key="c2",
                answer={"detail": "order is fulfilled"},
                answered=BEGAN + 9,
            ),
            call(CANCELLED, CANCEL, 200, key="c1", answer={"change_id": "c1"}),
            call(
                CANCELLED,
                SHOW,
                200,
                answer={"state": "received", "events": [{"number": 1, "type": "received"}]},
            ),
        ],
        streams=[
            Streamed(
                order_id=CANCELLED,
                events=[(event.number, event.type) for event in cancelled],
                complete=True,
            )
        ],
        feed=[(event.order_id, event.number) for event in (*fulfilled, *cancelled)],
    )


def charge(order_id: str, status: str, **values: Any) -> LedgerCharge:
    known = {"key": f"pay-{order_id}", "amount": "3.00", "currency": "USD"}
    return LedgerCharge(order_id=order_id, status=status, **known | values)


def package(
    order_id: str, status: str, address: dict[str, Any], attempt: int = 1
) -> LedgerShipment:
    key = f"{order_id}/{attempt}"
    return LedgerShipment(key=key, order_id=order_id, address=address, status=status)
