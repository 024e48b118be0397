from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orderfleet.domain.contract import OrderInput
from orderfleet.domain.orders import (
    ADDRESS_OPEN_STATES,
    OPEN_STATES,
    TRANSITIONS,
    Address,
    Amount,
    Currency,
    Item,
    Line,
    Money,
    NewOrder,
    OptionalLine,
    Order,
    OrderId,
    OrderState,
    PaymentId,
    states_before,
)

HOME = Address(street="1 Main Street", city="Springfield")
CENTS = st.integers(min_value=0, max_value=99_999)
ITEMS = st.lists(st.tuples(CENTS, st.integers(min_value=1, max_value=1000)), max_size=10)


def order(**given: Any) -> Order:
    values: dict[str, Any] = {"payment_id": "p-1", "address": HOME}
    return Order(**(values | given))


@pytest.mark.parametrize(
    ("ordered", "digest"),
    [
        (
            {"payment_id": "payment-1", "address": Address("1 Main St", "Springfield")},
            "f791a81f8e795edef9747823e9843dd7d4aa9a8b971bbedddc1c5e63c8c2504a",
        ),
        (
            {
                "payment_id": "payment-2",
                "address": Address("2 Elm St", "Shelbyville", "Ada", "IL", "62565", "US"),
                "items": [Item(sku="ABC", quantity=3, price="2.50"), Item(sku="XYZ")],
                "currency": "EUR",
            },
            "66ef4542b2e9fae3f2ea0144e88d75b09e11cbfc291b92f771671979407aef4c",
        ),
    ],
)
def test_a_fingerprint_stays_what_rows_have_stored(ordered: dict[str, Any], digest: str) -> None:
    assert Order(**ordered).fingerprint == digest
    started = OrderInput(**Order(**ordered).contents, deadline_seconds=60, actor="shop")
    assert started.fingerprint == digest
    assert NewOrder(**ordered).contents == ordered | started.contents


def test_an_end_has_no_way_on() -> None:
    ends = {state for state in OrderState if state.ended}
    assert ends == {"fulfilled", "cancelled", "rejected", "failed", "timed_out"}
    assert all(not TRANSITIONS[end] for end in ends)
    assert set(TRANSITIONS) == set(OrderState)
    assert set(OrderState) - ends == OPEN_STATES


def test_a_claimed_dispatch_can_be_neither_cancelled_nor_readdressed() -> None:
    assert OrderState.CANCELLED not in TRANSITIONS[OrderState.DISPATCHING]
    assert OrderState.REJECTED not in TRANSITIONS[OrderState.DISPATCHING]
    assert OrderState.DISPATCHING not in ADDRESS_OPEN_STATES
    assert not any(state.ended for state in ADDRESS_OPEN_STATES)


def test_nothing_is_dispatched_unpaid_and_only_the_dispatched_is_fulfilled() -> None:
    assert states_before(OrderState.FULFILLED) == {OrderState.DISPATCHING}
    assert states_before(OrderState.DISPATCHING) == {OrderState.SHIPPING}
    assert states_before(OrderState.SHIPPING) == {OrderState.CHARGED, OrderState.DISPATCHING}
    assert states_before(OrderState.CHARGED) == {OrderState.CHARGING}
    assert states_before(OrderState.CHARGING) == {OrderState.IN_REVIEW}


def test_every_open_order_can_fail_and_run_out_of_time() -> None:
    for state in OPEN_STATES:
        assert {OrderState.FAILED, OrderState.TIMED_OUT} <= TRANSITIONS[state]
    assert states_before(OrderState.CANCELLED) == OPEN_STATES - {OrderState.DISPATCHING}
    assert states_before(OrderState.RECEIVED) == set()


@given(ITEMS)
def test_the_amount_is_exact(found: list[tuple[int, int]]) -> None:
    items = [Item(sku="A", price=str(Decimal(cents) / 100), quantity=n) for cents, n in found]
    amount = order(items=items).amount
    cents = sum(cents * quantity for cents, quantity in found)
    assert amount == f"{cents // 100}.{cents % 100:02}"
    assert msgspec.convert(amount, Amount) == amount


def test_the_amount_of_prices_that_floats_get_wrong() -> None:
    assert order(items=[Item(sku="A", price="0.1"), Item(sku="B", price="0.2")]).amount == "0.30"
    assert order().amount == "1.00"
    assert order(items=[]).amount == "0.00"


def test_the_largest_order_still_has_an_amount() -> None:
    largest = order(items=[Item(sku="A", quantity=1000, price="999999999.99")] * 100)
    assert msgspec.convert(largest.amount, Amount) == "99999999999000.00"


def test_equal_orders_have_equal_fingerprints_whoever_built_them() -> None:
    built = order(items=[Item(sku="A", price="2.50", quantity=2)])
    decoded = msgspec.json.decode(msgspec.json.encode(built), type=Order)
    longhand = msgspec.convert(
        {
            "payment_id": "p-1",
            "address": {"city": "Springfield", "street": "1 Main Street", "name": ""},
            "items": [{"sku": "A", "quantity": 2, "price": "2.50"}],
            "currency": "USD",
        },
        Order,
    )
    assert built.fingerprint == decoded.fingerprint == longhand.fingerprint
    assert order().fingerprint == order(items=[Item(sku="ABC")], currency="USD").fingerprint


@pytest.mark.parametrize(
    "other",
    [
        {"payment_id": "p-2"},
        {"address": Address(street="1 Main Street", city="Shelbyville")},
        {"address": Address(street="1 Main Street", city="Springfield", name="Ann")},
        {"items": []},
        {"items": [Item(sku="ABC", quantity=2)]},
        {"items": [Item(sku="ABC"), Item(sku="ABC")]},
        {"items": [Item(sku="ABC", price="1.01")]},
        {"currency": "EUR"},
    ],
)
def test_other_orders_have_other_fingerprints(other: dict[str, Any]) -> None:
    assert order(**other).fingerprint != order().fingerprint


@pytest.mark.parametrize("type_", [OrderId, PaymentId])
@pytest.mark.parametrize("good", ["a", "7", "A-1._x", "x" * 64])
def test_ids(type_: Any, good: str) -> None:
    assert msgspec.convert(good, type_) == good


@pytest.mark.parametrize("type_", [OrderId, PaymentId])
@pytest.mark.parametrize(
    "bad",
    ["", "-a", ".a", "_a", "a b", "a/b", "a\n", "\na", "a\x00", "é", "x" * 65, "a%2f", "\u0663"],
)
def test_not_ids(type_: Any, bad: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(bad, type_)


@pytest.mark.parametrize("good", ["0", "1", "1.5", "1.50", "0.01", "999999999.99"])
def test_money(good: str) -> None:
    assert msgspec.convert(good, Money) == good


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "01",
        "1.",
        ".5",
        "1.000",
        "-1",
        "+1",
        "1e3",
        "1,00",
        "1\n",
        "1000000000",
        "NaN",
        "\u0661",
        1,
    ],
)
def test_not_money(bad: object) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(bad, Money)


@pytest.mark.parametrize("bad", ["usd", "US", "USDX", "USD\n", "U D", ""])
def test_not_a_currency(bad: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(bad, Currency)


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=200))
def test_any_printable_line_is_taken(text: str) -> None:
    assert msgspec.convert(text, Line) == text


@given(st.text(max_size=50), st.characters(categories=["Cc"]), st.text(max_size=50))
def test_a_control_character_is_refused_wherever_it_stands(
    before: str, control: str, after: str
) -> None:
    for type_ in (Line, OptionalLine):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(before + control + after, type_)


def test_the_bounds_of_lines_and_lists() -> None:
    for bad in ("", "x" * 201):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(bad, Line)
    body = {"payment_id": "p", "address": {"street": "s", "city": "c"}}
    for items in (
        [{"sku": "A"}] * 101,
        [{"sku": "A", "quantity": 0}],
        [{"sku": "A", "quantity": 1001}],
        [{"sku": "A", "colour": "red"}],
    ):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(body | {"items": items}, Order)
