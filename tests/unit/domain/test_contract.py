import msgspec
import pytest

from orderfleet.domain import contract
from orderfleet.domain.contract import StepName, StepStatus


@pytest.mark.parametrize(
    ("stored", "type_"),
    [
        ("payment_declined", contract.PAYMENT_DECLINED),
        ("payment_conflict", contract.PAYMENT_CONFLICT),
        ("review_rejected", contract.REVIEW_REJECTED),
        (contract.PAYMENT_DECLINED, "PaymentDeclined"),
        (contract.ORDER_CLOSED, "OrderClosed"),
        ("ValueError", "ValueError"),
        (None, None),
    ],
)
def test_a_failure_has_one_type_by_either_spelling(stored: str | None, type_: str | None) -> None:
    assert contract.failure_type(stored) == type_


def test_a_step_travels_by_its_name() -> None:
    steps = {step: StepStatus() for step in StepName}
    sent = msgspec.json.encode(steps)
    assert msgspec.json.decode(sent, type=dict[str, StepStatus]) == steps
    assert list(msgspec.json.decode(sent)) == [step.value for step in StepName]
