"""Whatever payload a client sends to whatever takes one: it fails that call and nothing else."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.client import (
    WorkflowFailureError,
    WorkflowQueryFailedError,
    WorkflowUpdateFailedError,
)
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from orderfleet.domain import contract
from orderfleet.domain.contract import (
    ADDRESS_SIGNAL,
    ADDRESS_UPDATE,
    CANCEL_SIGNAL,
    CANCEL_UPDATE,
    DISPATCH_FAILED_SIGNAL,
    INVALID_PAYLOAD,
    ORDER_TASK_QUEUE,
    REVIEW_UPDATE,
    SHIPPING_TASK_QUEUE,
    ForgetInput,
    RefundInput,
    Review,
    ShippingInput,
)
from orderfleet.domain.orders import Address, Item, OrderState
from tests.workflow.actions import during
from tests.workflow.case import Case, closed
from tests.workflow.fleet import HOME, Fleet


def payload(data: bytes, encoding: bytes | None = b"json/plain") -> Payload:
    return Payload(metadata={} if encoding is None else {"encoding": encoding}, data=data)


GOOD = payload(
    b'{"address": {"street": "s", "city": "c"}, "approved": true, "payment_id": "p",'
    b' "order_id": "malformed", "attempt": 1, "reason": "", "state": "failed"}'
)
# No order, change or report can be made of them, whatever it is.
ODD: dict[str, list[Payload]] = {
    "zero byte": [payload(b"\x00", b"binary/plain")],
    "no bytes": [payload(b"", b"binary/plain")],
    "json as bytes": [payload(GOOD.data, b"binary/plain")],
    "json of protobuf": [payload(GOOD.data, b"json/protobuf")],
    "protobuf": [payload(b"\x08\x01", b"binary/protobuf")],
    "encrypted": [payload(GOOD.data, b"binary/encrypted")],
    "encoding is no text": [payload(GOOD.data, b"\xff\xfe")],
    "no encoding": [payload(GOOD.data, None)],
    "brace": [payload(b"{")],
    "not UTF-8": [payload(b'{"reason": "\xff"}')],
    "half a surrogate": [payload(b'{"reason": "\\ud800"}')],
    "deep": [payload(b"[" * 20_000 + b"]" * 20_000)],
    "list": [payload(b"[]")],
    "twice": [payload(b'{"reason": "a", ' + GOOD.data[1:])],
    "two": [GOOD, GOOD],
    "two, one odd": [GOOD, payload(b"\x00", b"binary/unknown")],
    "many": [GOOD] * 20,
}
# Said without a value: a cancel needs none, all else does.
EMPTY: dict[str, list[Payload]] = {
    "nothing": [],
    "null": [payload(b"", b"binary/null")],
    "null of JSON": [payload(b"null")],
    "empty": [Payload()],
}
SIGNALS = {
    CANCEL_SIGNAL: "cancel_refused",
    ADDRESS_SIGNAL: "address_update_refused",
    DISPATCH_FAILED_SIGNAL: "dispatch_failed_refused",
}


def raw(payloads: Sequence[Payload]) -> list[Any]:
    return [RawValue(one) for one in payloads]


async def in_review(fleet: Fleet) -> Case:
    case = fleet.order(review=60, deadline=100)
    await case.start()
    await case.until_step("review")
    return case


async def goes_on(case: Case) -> None:
    await case.update(REVIEW_UPDATE, Review(approved=True))
    assert (await case.end()).result.state is OrderState.FULFILLED
    assert not [event for event in await case.history() if "TASK_FAILED" in event]


@pytest.mark.parametrize("signal", SIGNALS)
async def test_an_odd_signal_is_recorded_and_the_order_goes_on(fleet: Fleet, signal: str) -> None:
    case = await in_review(fleet)
    sent = list(ODD.values()) + ([] if signal == CANCEL_SIGNAL else list(EMPTY.values()))
    for payloads in sent:
        await case.handle.signal(signal, args=raw(payloads))
    await case.waits_for(lambda: case.events.count(SIGNALS[signal]) == len(sent))
    refusals = [one.payload["reason"] for one in case.row.events if one.type == SIGNALS[signal]]
    assert all(reason.isprintable() and len(reason) <= 500 for reason in refusals)
    await goes_on(case)


@pytest.mark.parametrize("name", EMPTY)
async def test_a_cancel_needs_no_value(fleet: Fleet, name: str) -> None:
    case = await in_review(fleet)
    await case.handle.signal(CANCEL_SIGNAL, args=raw(EMPTY[name]))
    assert (await case.end()).result.state is OrderState.CANCELLED


@pytest.mark.parametrize("update", [CANCEL_UPDATE, ADDRESS_UPDATE, REVIEW_UPDATE])
async def test_an_odd_update_is_refused_and_the_order_goes_on(fleet: Fleet, update: str) -> None:
    case = await in_review(fleet)
    sent = list(ODD.values()) + ([] if update == CANCEL_UPDATE else list(EMPTY.values()))
    for payloads in sent:
        with pytest.raises(WorkflowUpdateFailedError) as raised:
            await case.handle.execute_update(update, args=raw(payloads))
        assert isinstance(raised.value.cause, ApplicationError)
        assert raised.value.cause.type == INVALID_PAYLOAD
    assert not [event for event in await case.history() if "UPDATE" in event]
    await goes_on(case)


async def test_what_has_no_handler_does_no_harm(fleet: Fleet) -> None:
    case = await in_review(fleet)
    for payloads in ODD.values():
        await case.handle.signal("Unheard", args=raw(payloads))
        with pytest.raises(WorkflowUpdateFailedError):
            await case.handle.execute_update("unheard", args=raw(payloads))
        with pytest.raises(WorkflowQueryFailedError):
            await case.handle.query("unheard", args=raw(payloads))
        # The SDK refuses more than the handler takes, or leaves it out.
        with suppress(WorkflowQueryFailedError):
            await case.handle.query(contract.STATUS_QUERY, args=raw(payloads))
    await goes_on(case)


async def fails(fleet: Fleet, kind: str, queue: str, given: list[Any], started: str) -> str:
    """Return why a start is refused; nothing is done before it is."""
    handle = await fleet.client.start_workflow(kind, args=given, id=started, task_queue=queue)
    # Time does not skip: a workflow task that is retried for ever would hang here.
    await closed(handle, patience=5)
    with pytest.raises(WorkflowFailureError) as raised:
        await handle.result()
    assert isinstance(raised.value.cause, ApplicationError)
    assert raised.value.cause.type == INVALID_PAYLOAD
    assert fleet.world.calls == {}
    return raised.value.cause.message


@pytest.mark.parametrize(
    ("kind", "queue"),
    [
        (contract.ORDER_WORKFLOW, ORDER_TASK_QUEUE),
        (contract.SHIPPING_WORKFLOW, SHIPPING_TASK_QUEUE),
        (contract.REFUND_WORKFLOW, ORDER_TASK_QUEUE),
        (contract.FORGET_WORKFLOW, ORDER_TASK_QUEUE),
    ],
)
async def test_an_odd_start_fails_at_once(fleet: Fleet, kind: str, queue: str) -> None:
    for payloads in (ODD | EMPTY).values():
        assert await fails(fleet, kind, queue, raw(payloads), "malformed")


@pytest.mark.parametrize(
    "started", ["order:bad 1", "order/1", "-order", "a" * 65, "órder", "order-1\n", "o/shipping/1"]
)
async def test_an_order_whose_id_is_none_fails_at_once(fleet: Fleet, started: str) -> None:
    order = fleet.order().order
    reason = await fails(fleet, contract.ORDER_WORKFLOW, ORDER_TASK_QUEUE, [order], started)
    assert reason == "the workflow's id is no order id"


@pytest.mark.parametrize("started", ["order-1", "order-2/shipping/1", "order-1/shipping/2", "x"])
async def test_shipping_by_another_id_fails_at_once(fleet: Fleet, started: str) -> None:
    given = [ShippingInput(order_id="order-1")]
    reason = await fails(fleet, contract.SHIPPING_WORKFLOW, SHIPPING_TASK_QUEUE, given, started)
    assert reason == "the workflow's id must be order-1/shipping/1"


@pytest.mark.parametrize("started", ["order-1", "order-2/refund", "refund"])
async def test_a_refund_by_another_id_fails_at_once(fleet: Fleet, started: str) -> None:
    given = [RefundInput(order_id="order-1", payment_id="p", state=OrderState.FAILED)]
    reason = await fails(fleet, contract.REFUND_WORKFLOW, ORDER_TASK_QUEUE, given, started)
    assert reason == "the workflow's id must be order-1/refund"


@pytest.mark.parametrize("started", ["order-1", "order-2/forget", "order-1/refund"])
async def test_forgetting_by_another_id_fails_at_once(fleet: Fleet, started: str) -> None:
    given = [ForgetInput("order-1")]
    reason = await fails(fleet, contract.FORGET_WORKFLOW, ORDER_TASK_QUEUE, given, started)
    assert reason == "the workflow's id must be order-1/forget"


ORDER = {"payment_id": "p", "address": {"street": "s", "city": "c"}}


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"currency": "XXX"}, "$.currency"),
        ({"currency": "USX"}, "$.currency"),
        ({"currency": "JPY", "items": [{"sku": "A", "price": "1.55"}]}, "$.items[0].price"),
        ({"address": {"street": " ", "city": "c"}}, "$.address.street"),
        ({"address": {"street": "s", "city": "\u3000"}}, "$.address.city"),
        ({"address": {"street": "s", "city": "c", "name": "\u202eann"}}, "$.address.name"),
        ({"items": [{"sku": "A\u200b"}]}, "$.items[0].sku"),
        ({"actor": "ann\u2066"}, "$.actor"),
    ],
)
async def test_an_order_that_the_api_would_not_take_fails_at_once(
    fleet: Fleet, changes: dict[str, Any], where: str
) -> None:
    given = [ORDER | changes]
    reason = await fails(fleet, contract.ORDER_WORKFLOW, ORDER_TASK_QUEUE, given, "order-1")
    assert reason.endswith(f"at `{where}`")


ODD_TEXT = ["\u202e", "\u200b", "a\u200d", "\ufeff", "\u2028", "\x85", "\ue000", " ", "\U0001fffe"]


@pytest.mark.parametrize("text", ODD_TEXT)
async def test_text_that_hides_something_is_refused_in_every_message(
    fleet: Fleet, text: str
) -> None:
    case = await in_review(fleet)
    home = {"street": "s", "city": "c"}
    signals: list[tuple[str, dict[str, Any]]] = [
        (CANCEL_SIGNAL, {"reason": text}),
        (CANCEL_SIGNAL, {"actor": text}),
        (ADDRESS_SIGNAL, {"address": {**home, "street": text}}),
        (ADDRESS_SIGNAL, {"address": home, "actor": text}),
        (DISPATCH_FAILED_SIGNAL, {"attempt": 1, "reason": text}),
    ]
    updates: list[tuple[str, dict[str, Any]]] = [
        (CANCEL_UPDATE, {"reason": text}),
        (ADDRESS_UPDATE, {"address": {**home, "name": text}}),
        (REVIEW_UPDATE, {"approved": False, "reviewer": text}),
        (REVIEW_UPDATE, {"approved": False, "reason": text}),
        (REVIEW_UPDATE, {"approved": False, "actor": text}),
    ]
    for signal, given in signals:
        await case.handle.signal(signal, given)
    for update, given in updates:
        with pytest.raises(WorkflowUpdateFailedError) as raised:
            await case.update(update, given)
        assert isinstance(raised.value.cause, ApplicationError)
        assert raised.value.cause.type == INVALID_PAYLOAD
    await case.waits_for(
        lambda: sum(case.events.count(kind) for kind in SIGNALS.values()) == len(signals)
    )
    await goes_on(case)
    assert fleet.world.shipped(case.id) == [HOME.street]


async def test_a_report_of_an_attempt_that_is_none_is_recorded_and_changes_nothing(
    fleet: Fleet,
) -> None:
    case = fleet.order()

    async def forged() -> None:
        for attempt in (2, 7, 10**9):
            await case.handle.signal(DISPATCH_FAILED_SIGNAL, {"attempt": attempt, "reason": "r"})
        await case.waits_for(lambda: case.events.count("dispatch_failed_refused") == 3)

    case.script("carrier", during(forged))
    await case.start()
    end = await case.end()
    assert end.result.state is OrderState.FULFILLED
    assert "dispatch_failed" not in case.events


async def test_a_child_that_somebody_else_has_started_does_not_end_the_order(fleet: Fleet) -> None:
    case = fleet.order()

    async def taken() -> None:
        stranger = await fleet.client.start_workflow(
            contract.SHIPPING_WORKFLOW,
            ShippingInput(order_id=case.id),
            id=contract.shipping_id(case.id, 1),
            task_queue=SHIPPING_TASK_QUEUE,
        )
        await closed(stranger)

    # It is not charged yet, and so it is not shipped.
    case.script("charge", during(taken))
    await case.start()
    end = await case.end()
    assert end.result.state is OrderState.FULFILLED
    assert end.status.shipping_attempts == 2


async def test_the_letters_of_every_script_are_taken(fleet: Fleet) -> None:
    names = ["علی‌رضا", "क्‍ष", "👩‍👧", "Zoë Müller", "東京都　渋谷区"]
    case = fleet.order(items=[Item(sku=name) for name in names])
    case.order = contract.OrderInput(
        payment_id=case.order.payment_id,
        address=Address(street=names[4], city=names[0], name=names[1], region=names[2]),
        items=case.order.items,
    )
    await case.start()
    assert (await case.end()).result.state is OrderState.FULFILLED
