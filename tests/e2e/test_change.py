"""Cancel, change of address and review: in time, too late, and again by the same key."""

import asyncio

import httpx
import pytest

from tests.e2e.support.orders import (
    ELSEWHERE,
    HOME,
    Json,
    Orders,
    event,
    lacks,
    new_id,
    trail,
    types,
)
from tests.e2e.support.together import together

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.alone]


def _is_applied(answer: httpx.Response, key: str) -> bool:
    body: Json = answer.json()
    outcome = (answer.status_code, body.get("outcome"), body.get("change_id"))
    return outcome == (200, "applied", key)


@together
async def test_cancelled_during_review(orders: Orders) -> None:
    order_id = await orders.place("plain")
    await orders.until(order_id, "validated")
    key = new_id("key")
    answer = await orders.cancel(order_id, key, reason="changed my mind")
    assert _is_applied(answer, key)
    assert answer.json()["state"] == "cancelled"

    order = await orders.ended(order_id)
    assert types(order) == ["received", "validated", "cancelled"]
    assert event(order, "cancelled") == {"reason": "changed my mind"}
    assert order["payments"] == []
    assert await orders.charges(order_id) == []
    # Again by the same key, by another and by none: it is cancelled, that is all one wants.
    assert _is_applied(await orders.cancel(order_id, key, reason="changed my mind"), key)
    assert (await orders.cancel(order_id, new_id("key"))).status_code == 200
    assert (await orders.cancel(order_id)).status_code == 200
    assert types(await orders.show(order_id)).count("cancelled") == 1


@together
async def test_cancelled_after_the_charge(orders: Orders) -> None:
    order_id = await orders.place("carrier-refuses")
    await orders.until(order_id, "dispatch_failed")
    assert (await orders.cancel(order_id, reason="too slow")).status_code == 200
    order = await orders.completed(order_id)
    assert order["state"] == "cancelled"
    assert await orders.charges(order_id) == ["refunded"]
    assert order["payments"][0]["status"] == "refunded"
    assert types(order).count("refunded") == 1
    assert await orders.shipments(order_id) in ([], ["voided"])
    status = await orders.last_status(order_id)
    assert (status["state"], status["reason"]) == ("cancelled", "too slow")


@together
async def test_a_cancel_that_comes_too_late_is_refused_and_recorded(orders: Orders) -> None:
    order_id = await orders.place("slow-carrier")
    await orders.until(order_id, "dispatching")
    key = new_id("key")
    answer = await orders.cancel(order_id, key)
    assert answer.status_code == 409
    assert answer.json()["detail"] == "already dispatched"
    order = await orders.ended(order_id)
    assert order["state"] == "fulfilled", trail(order)
    # Again by the same key: the same answer and nothing more on record.
    assert (await orders.cancel(order_id, key)).status_code == 409
    assert event(await orders.show(order_id), "cancel_refused") == {"reason": "already dispatched"}
    # Another one, after the end.
    answer = await orders.cancel(order_id, new_id("key"))
    assert (answer.status_code, answer.json()["detail"]) == (409, "order is fulfilled")
    assert types(await orders.show(order_id)).count("cancel_refused") == 2
    assert await orders.charges(order_id) == ["captured"]


@together
async def test_sent_elsewhere_during_review(orders: Orders) -> None:
    order_id = await orders.place("plain")
    await orders.until(order_id, "validated")
    key = new_id("key")
    answers = await asyncio.gather(*(orders.move(order_id, ELSEWHERE, key) for _ in range(3)))
    assert all(_is_applied(answer, key) for answer in answers)
    assert (await orders.status(order_id))["address"] == ELSEWHERE
    order = await orders.ended(order_id)
    assert (order["state"], order["address"]) == ("fulfilled", ELSEWHERE)
    assert await orders.shipped_to(order_id) == ELSEWHERE
    # By then the workflow is gone, and the record knows the key.
    assert _is_applied(await orders.move(order_id, ELSEWHERE, key), key)
    order = await orders.show(order_id)
    assert event(order, "address_updated") == {"address": ELSEWHERE}
    assert lacks(order, ["address_update_refused"])


@together
async def test_sent_elsewhere_during_shipping(orders: Orders) -> None:
    order_id = await orders.place("refused-once")
    await orders.until(order_id, "dispatch_failed")
    assert (await orders.move(order_id, ELSEWHERE)).status_code == 200
    order = await orders.ended(order_id)
    assert order["state"] == "fulfilled", trail(order)
    assert types(order).count("dispatch_failed") == 1
    assert await orders.shipped_to(order_id) == ELSEWHERE


@together
async def test_an_address_that_comes_too_late_is_refused_and_recorded(orders: Orders) -> None:
    order_id = await orders.place("slow-carrier")
    await orders.until(order_id, "dispatching")
    answer = await orders.move(order_id, ELSEWHERE, new_id("key"))
    assert (answer.status_code, answer.json()["detail"]) == (409, "already dispatched")
    order = await orders.ended(order_id)
    assert (order["state"], order["address"]) == ("fulfilled", HOME)
    assert await orders.shipped_to(order_id) == HOME
    assert (await orders.move(order_id, ELSEWHERE, new_id("key"))).status_code == 409
    order = await orders.show(order_id)
    assert types(order).count("address_update_refused") == 2
    assert order["address"] == HOME


@together
async def test_changes_of_address_come_out_in_their_order(orders: Orders) -> None:
    order_id = await orders.place("plain")
    await orders.until(order_id, "validated")
    for number in range(1, 4):
        answer = await orders.move(order_id, {**HOME, "street": f"{number} Next Street"})
        assert answer.status_code == 200
    order = await orders.ended(order_id)
    assert types(order).count("address_updated") == 3
    assert (await orders.shipped_to(order_id))["street"] == "3 Next Street"


@together
async def test_approved_before_the_timer(orders: Orders) -> None:
    order_id = await orders.place("plain")
    await orders.until(order_id, "validated")
    key = new_id("key")
    assert _is_applied(await orders.review(order_id, approved=True, key=key), key)
    order = await orders.ended(order_id)
    assert order["state"] == "fulfilled", trail(order)
    review = event(order, "reviewed")
    assert (review["approved"], review["by"]) == (True, "somebody")
    assert _is_applied(await orders.review(order_id, approved=True, key=key), key)
    assert lacks(await orders.show(order_id), ["review_refused"])


@together
async def test_rejected(orders: Orders) -> None:
    order_id = await orders.place("plain")
    await orders.until(order_id, "validated")
    key = new_id("key")
    assert _is_applied(await orders.review(order_id, approved=False, key=key), key)
    order = await orders.ended(order_id)
    assert types(order) == ["received", "validated", "reviewed", "rejected"]
    assert event(order, "rejected") == {"reason": "looked at it"}
    assert await orders.charges(order_id) == []
    assert _is_applied(await orders.review(order_id, approved=False, key=key), key)
    assert lacks(await orders.show(order_id), ["review_refused"])
    assert (await orders.cancel(order_id)).status_code == 409


@together
async def test_a_review_after_the_timer_is_refused_and_recorded(orders: Orders) -> None:
    order_id = await orders.place("slow-charge")
    await orders.until(order_id, "charging")
    answer = await orders.review(order_id, approved=False, key=new_id("key"))
    assert (answer.status_code, answer.json()["detail"]) == (409, "the review is over")
    assert (await orders.ended(order_id))["state"] == "fulfilled"
    assert (await orders.review(order_id, approved=False, key=new_id("key"))).status_code == 409
    assert types(await orders.show(order_id)).count("review_refused") == 2


@together
async def test_the_second_reviewer_is_too_late(orders: Orders) -> None:
    order_id = await orders.place("slow-charge")
    await orders.until(order_id, "validated")
    assert (await orders.review(order_id, approved=True)).status_code == 200
    assert (await orders.review(order_id, approved=False)).status_code == 409
    assert (await orders.ended(order_id))["state"] == "fulfilled"


@together
async def test_a_key_names_one_change_of_its_kind(orders: Orders) -> None:
    order_id = await orders.place("plain")
    await orders.until(order_id, "validated")
    key = new_id("key")
    assert _is_applied(await orders.move(order_id, ELSEWHERE, key), key)
    assert _is_applied(await orders.cancel(order_id, key), key)
    order = await orders.ended(order_id)
    assert types(order) == ["received", "validated", "address_updated", "cancelled"]


@together
async def test_a_key_may_be_any_word(orders: Orders) -> None:
    order_id = await orders.place("plain")
    await orders.until(order_id, "validated")
    # Names that the order's own steps have in its audit trail.
    for key in ("charging", "charged", "prepared", "dispatching/1.1", "ended"):
        assert _is_applied(await orders.move(order_id, ELSEWHERE, key), key)
    order = await orders.ended(order_id)
    assert order["state"] == "fulfilled", trail(order)
    assert types(order).count("address_updated") == 5


async def test_the_books_balance(orders: Orders) -> None:
    await orders.balanced()
