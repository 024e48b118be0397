"""From POST to fulfilled, and the same order placed again."""

import asyncio

import pytest

from tests.e2e.support.orders import DEADLINE, HOME, Orders, event, new_id, types
from tests.e2e.support.together import together

pytestmark = pytest.mark.asyncio(loop_scope="session")

_TRAIL = [
    "received",
    "validated",
    "reviewed",
    "charging",
    "charged",
    "prepared",
    "dispatching",
    "fulfilled",
]


@together
async def test_an_order_is_fulfilled_step_by_step(orders: Orders) -> None:
    order_id = new_id("plain")
    answer = await orders.start(order_id)
    assert answer.status_code == 202
    assert answer.json() == {"order_id": order_id, "state": "received"}
    assert answer.headers["Location"] == f"/orders/{order_id}"

    live = await orders.status(order_id)
    assert live["source"] == "workflow"
    assert 0 < live["seconds_left"] <= DEADLINE

    order = await orders.ended(order_id)
    assert order["state"] == "fulfilled"
    assert [(one["number"], one["type"]) for one in order["events"]] == list(enumerate(_TRAIL, 1))
    assert event(order, "reviewed") == {"approved": True, "by": "timer"}
    assert order["payments"][0] | {"created_at": ""} == {
        "payment_id": f"pay-{order_id}",
        "status": "captured",
        "amount": "1.00",
        "currency": "USD",
        "created_at": "",
    }
    assert await orders.charges(order_id) == ["captured"]
    assert await orders.shipments(order_id) == ["taken"]


@together
async def test_status_tells_the_end_and_every_step(orders: Orders) -> None:
    order_id = await orders.place("reply-lost")
    await orders.ended(order_id)
    status = await orders.last_status(order_id)
    assert (status["state"], status["step"], status["seconds_left"]) == ("fulfilled", "", 0.0)
    assert status["shipping_attempts"] == 1
    lost = "reply lost (injected)"
    assert status["steps"]["charge"] == {"attempts": 2, "errors": [lost], "last_error": lost}
    assert status["errors"] == [f"charge: {lost}"]
    assert status["steps"]["dispatch"]["attempts"] == 1


@together
async def test_all_that_an_order_may_say_is_kept_and_shipped(orders: Orders) -> None:
    address = {
        "name": "Ada Lovelace",
        "street": "12 Straße der Äpfel",
        "city": "北京",
        "region": "Île-de-France",
        "postal_code": "SW1A 1AA",
        "country": "GB",
    }
    items = [
        {"sku": "ABC", "quantity": 3, "price": "19.99"},
        {"sku": "a b/c", "quantity": 1, "price": "0.5"},
        {"sku": "free", "quantity": 1000, "price": "0"},
    ]
    order_id = await orders.place("plain", address=address, items=items, currency="EUR")
    order = await orders.ended(order_id)
    assert order["state"] == "fulfilled"
    assert (order["address"], order["items"]) == (address, items)
    assert (order["amount"], order["currency"]) == ("60.47", "EUR")
    assert [(one["amount"], one["currency"]) for one in order["payments"]] == [("60.47", "EUR")]
    assert await orders.shipped_to(order_id) == address
    charged = "SELECT amount::text || currency FROM gateway.charges WHERE order_id = $1"
    assert await orders.pool.fetchval(charged, order_id) == "60.47EUR"


@together
async def test_an_order_of_nothing_is_rejected_and_not_charged(orders: Orders) -> None:
    order_id = await orders.place("plain", items=[])
    order = await orders.ended(order_id)
    assert types(order) == ["received", "rejected"]
    assert event(order, "rejected") == {"reason": "no items"}
    assert await orders.charges(order_id) == []


@together
async def test_the_same_start_again_is_the_same_order(orders: Orders) -> None:
    order_id = new_id("plain")
    answers = await asyncio.gather(*(orders.start(order_id) for _ in range(5)))
    assert {answer.status_code for answer in answers} == {202}
    order = await orders.ended(order_id)
    assert types(order) == _TRAIL
    again = await orders.start(order_id)
    assert (again.status_code, again.json()["state"]) == (202, "fulfilled")
    assert again.headers["Location"] == f"/orders/{order_id}"
    assert types(await orders.show(order_id)) == _TRAIL
    assert await orders.charges(order_id) == ["captured"]


@together
async def test_another_order_under_the_same_id_is_refused(orders: Orders) -> None:
    order_id = await orders.place("plain")
    for change in (
        {"address": {**HOME, "country": "US"}},
        {"payment_id": new_id("pay")},
        {"items": [{"sku": "ABC", "quantity": 2}]},
        {"currency": "EUR"},
    ):
        answer = await orders.start(order_id, **change)
        assert answer.status_code == 409, change
    # What is only said differently is the same.
    spelled_out = [{"sku": "ABC", "quantity": 1, "price": "1.00"}]
    answer = await orders.start(order_id, items=spelled_out, currency="USD")
    assert answer.status_code == 202
    assert (await orders.ended(order_id))["address"] == HOME


@together
async def test_a_payment_pays_for_one_order(orders: Orders) -> None:
    first = await orders.place("plain")
    second = new_id("plain")
    answer = await orders.start(second, payment_id=f"pay-{first}")
    assert answer.status_code == 409
    assert (await orders.http.get(f"/orders/{second}")).status_code == 404
    await orders.ended(first)
    assert (await orders.start(second, payment_id=f"pay-{first}")).status_code == 409


@together
async def test_of_two_orders_racing_for_a_payment_one_is_charged(orders: Orders) -> None:
    payment_id = new_id("pay")
    ids = [new_id("plain"), new_id("plain")]
    answers = await asyncio.gather(*(orders.start(one, payment_id=payment_id) for one in ids))
    placed = [one for one, answer in zip(ids, answers, strict=True) if answer.status_code == 202]
    ended = [await orders.ended(one) for one in placed]
    fulfilled = [order for order in ended if order["state"] == "fulfilled"]
    assert len(fulfilled) == 1
    for loser in (order for order in ended if order not in fulfilled):
        assert event(loser, "rejected") == {"reason": "payment_conflict"}
        assert await orders.charges(loser["id"]) == []


async def test_the_books_balance(orders: Orders) -> None:
    assert (await orders.balanced()).fulfilled != "0"
