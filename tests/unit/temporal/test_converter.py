from typing import Any

import msgspec
import pytest
from temporalio.api.common.v1 import Payload
from temporalio.api.sdk.v1 import UserMetadata, WorkflowMetadata
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from orderfleet.domain import contract
from orderfleet.domain.contract import INVALID_PAYLOAD, OrderInput, StepStatus
from orderfleet.domain.orders import Address, Item, OrderState
from orderfleet.temporal.converter import make_data_converter

CONVERTER = make_data_converter().payload_converter
HOME = Address(street="1 Main Street", city="Zürich", name='"quoted"')
STEPS = {"charge": StepStatus(2, ["boom"], "boom")}
SAMPLES: list[Any] = [
    STEPS["charge"],
    OrderInput(payment_id="p", address=HOME, items=[Item(sku="A", quantity=3, price="0.10")]),
    contract.OrderResult("o", OrderState.TIMED_OUT, "late"),
    contract.ShippingInput(order_id="o", attempt=2),
    contract.ShippingResult(OrderState.FULFILLED, "track", STEPS),
    contract.RefundInput(order_id="o", payment_id="p", state=OrderState.FAILED, reason="r"),
    contract.RefundResult("refunded", recalled=True),
    contract.ForgetInput("o"),
    contract.ForgetResult("o", first=True, histories=2),
    contract.RecallInput("o"),
    contract.Cancel(change_id="c", reason="why", actor="who"),
    contract.AddressChange(HOME, change_id="c"),
    contract.Review(approved=False, reviewer="ann"),
    contract.DispatchFailed(1, "strike", STEPS),
    contract.ChangeResult("c", OrderState.IN_REVIEW),
    contract.ChangeOutcome(applied=False, state=OrderState.FAILED, reason="order is failed"),
    contract.Status(
        order_id="o",
        state=OrderState.CHARGED,
        step="ship",
        address=HOME,
        steps=STEPS,
        shipping_attempts=1,
        errors=["x"],
        seconds_left=1.5,
    ),
]


def test_there_is_a_sample_of_every_message() -> None:
    found = {
        value
        for value in vars(contract).values()
        if isinstance(value, type)
        and issubclass(value, msgspec.Struct)
        and value.__module__ == contract.__name__
    }
    assert {type(sample) for sample in SAMPLES} == found


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: type(sample).__name__)
def test_a_message_comes_back_as_it_was(sample: Any) -> None:
    [payload] = CONVERTER.to_payloads([sample])
    # As JSON, so that Temporal's UI and CLI show it.
    assert payload.metadata["encoding"] == b"json/plain"
    assert msgspec.json.decode(payload.data) == msgspec.to_builtins(sample)
    assert CONVERTER.from_payloads([payload], [type(sample)]) == [sample]


@pytest.mark.parametrize("value", [None, True, 1, "text", [1, "a"], {"a": None}])
def test_plain_values_need_no_type(value: object) -> None:
    assert CONVERTER.from_payloads(CONVERTER.to_payloads([value])) == [value]


def test_bytes_stay_bytes() -> None:
    assert CONVERTER.from_payloads(CONVERTER.to_payloads([b"\x00\xff"]), [bytes]) == [b"\x00\xff"]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"order"',
        b"{}",
        b'{"payment_id": "p"}',
        b'{"payment_id": "p\\n", "address": {"street": "s", "city": "c"}}',
        b'{"payment_id": "p", "address": {"street": "s", "city": "c"}, "deadline_seconds": 0}',
        b'{"payment_id": "p", "address": {"street": "s", "city": "c", "planet": "Mars"}}',
        b'{"payment_id": "p", "address": {"street": "s", "city": "c"}, "items": [{}]}',
        b'{"payment_id": "\xff"}',
        b"[" * 10_000,
    ],
)
def test_what_does_not_fit_fails_for_good(data: bytes) -> None:
    payload = Payload(metadata={"encoding": b"json/plain"}, data=data)
    with pytest.raises(ApplicationError) as raised:
        CONVERTER.from_payloads([payload], [OrderInput])
    assert raised.value.type == INVALID_PAYLOAD
    assert raised.value.non_retryable


def test_a_message_of_the_sdk_comes_back_as_its_type_only() -> None:
    """Temporal's UI asks a workflow for one; nobody sends one in."""
    message = WorkflowMetadata(current_details="- state: **charging**")
    [payload] = CONVERTER.to_payloads([message])
    assert payload.metadata["encoding"] == b"json/protobuf"
    assert CONVERTER.from_payloads([payload], [WorkflowMetadata]) == [message]
    for other in (OrderInput, UserMetadata, dict[str, str]):
        with pytest.raises(ApplicationError) as raised:
            CONVERTER.from_payloads([payload], [other])
        assert raised.value.type == INVALID_PAYLOAD
    assert CONVERTER.from_payloads([payload]) == [RawValue(payload)]


def test_nothing_is_not_an_order() -> None:
    payloads = CONVERTER.to_payloads([None])
    with pytest.raises(ApplicationError) as raised:
        CONVERTER.from_payloads(payloads, [OrderInput])
    assert raised.value.type == INVALID_PAYLOAD
    assert CONVERTER.from_payloads(payloads, [OrderInput | None]) == [None]  # type: ignore[list-item]
