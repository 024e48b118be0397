"""What Temporal's UI says of an order: counts, money, states, and nothing that a person wrote."""

import pytest

from orderfleet.domain import summaries
from orderfleet.domain.contract import OrderInput, StepName, StepStatus
from orderfleet.domain.orders import Address, Item, OrderState

CANARY = "canary"
HOME = Address(CANARY, CANARY, name=CANARY)


def order(*items: Item, currency: str = "USD") -> OrderInput:
    return OrderInput(payment_id="pay-1", address=HOME, items=items, currency=currency)


@pytest.mark.parametrize(
    ("items", "summary"),
    [
        ([Item(CANARY)], "1 item, 1.00 USD"),
        ([Item(CANARY, 2, "10.10"), Item(CANARY, 1, "21")], "3 items, 41.20 USD"),
        ([], "0 items, 0.00 USD"),
    ],
)
def test_an_order_is_its_pieces_and_its_money(items: list[Item], summary: str) -> None:
    assert summaries.order_summary(order(*items)) == summary
    assert CANARY not in summaries.order_details(order(*items))


def test_the_largest_order_is_short_enough_for_the_server() -> None:
    largest = order(*[Item(CANARY, 1000, "999999999.99")] * 100)
    assert summaries.order_summary(largest) == "100000 items, 99999999999000.00 USD"


def test_current_details_show_attempts_of_steps_and_no_text() -> None:
    steps = {
        CANARY: StepStatus(1, [CANARY], CANARY),
        "charge": StepStatus(2, [CANARY], CANARY),
        "receive": StepStatus(1),
    }
    details = summaries.current_details(
        OrderState.SHIPPING, StepName.SHIP, steps, shipping_attempts=2
    )
    assert details.splitlines() == [
        "- state: **shipping**",
        "- step: ship",
        "- attempts: receive 1, charge 2 (1 failed)",
        "- shipping attempts: 2",
    ]
    ended = summaries.current_details(OrderState.FAILED, StepName.END, {}, shipping_attempts=1)
    assert ended == "- state: **failed**"
