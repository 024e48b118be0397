"""Gateways that refuse, fail, hang or answer late: an end in time, and the money in its place."""

import asyncio

import pytest

from tests.e2e.support.orders import ENDS, Orders, event, lacks, types
from tests.e2e.support.together import together

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.alone]


@together
async def test_a_lost_reply_charges_once(orders: Orders) -> None:
    order_id = await orders.place("reply-lost")
    order = await orders.ended(order_id)
    assert order["state"] == "fulfilled"
    assert event(order, "charged") == {"attempt": 2}
    assert await orders.charges(order_id) == ["captured"]


@together
async def test_a_charge_that_lands_late_is_refunded(orders: Orders) -> None:
    order_id = await orders.place("charge-late")
    order = await orders.completed(order_id)
    assert order["state"] in {"failed", "timed_out"}
    assert await orders.charges(order_id) == ["refunded"]
    assert order["payments"][0]["status"] == "refunded"
    assert lacks(order, ["charged", "prepared"])


@together
async def test_a_charge_that_lands_after_the_end_finds_its_key_closed(orders: Orders) -> None:
    order_id = await orders.place("charge-too-late")
    await orders.until(order_id, "charging")
    landed = asyncio.get_running_loop().time() + 14
    order = await orders.completed(order_id)
    assert order["state"] in {"failed", "timed_out"}
    assert await orders.charges(order_id) == ["voided"]
    await asyncio.sleep(landed - asyncio.get_running_loop().time())
    assert await orders.charges(order_id) == ["voided"]
    assert (await orders.show(order_id))["payments"][0]["status"] == "voided"


@together
async def test_a_declined_payment_fails_the_order_at_once(orders: Orders) -> None:
    order_id = await orders.place("declined")
    order = await orders.completed(order_id)
    assert order["state"] == "failed"
    assert types(order).count("declined") == 1
    assert lacks(order, ["charged"])
    assert await orders.charges(order_id) == ["voided"]
    status = await orders.last_status(order_id)
    assert status["steps"]["charge"]["attempts"] == 1
    assert status["reason"] == "charge: refused (injected)"


@together
async def test_a_carrier_that_refuses_three_times_fails_the_order(orders: Orders) -> None:
    order_id = await orders.place("carrier-refuses")
    order = await orders.completed(order_id)
    assert order["state"] == "failed"
    attempts = [one["payload"] for one in order["events"] if one["type"] == "dispatch_failed"]
    assert [one["attempt"] for one in attempts] == [1, 2, 3]
    assert await orders.charges(order_id) == ["refunded"]
    assert "taken" not in await orders.shipments(order_id)
    status = await orders.last_status(order_id)
    assert status["shipping_attempts"] == 3
    assert len(status["errors"]) == 3


@together
async def test_a_carrier_that_hangs_beyond_the_deadline_ends_the_order_in_time(
    orders: Orders,
) -> None:
    order_id = await orders.place("carrier-hangs")
    await orders.until(order_id, "dispatching")
    # All calls to the carrier: the last one begins in the second run of shipping, 9.5 s from here.
    landed = asyncio.get_running_loop().time() + 22
    order = await orders.completed(order_id)
    assert order["state"] == "timed_out"
    assert event(order, "recalled") == {"called_back": False}
    assert await orders.charges(order_id) == ["refunded"]
    assert set(await orders.shipments(order_id)) == {"voided"}
    await asyncio.sleep(landed - asyncio.get_running_loop().time())
    assert set(await orders.shipments(order_id)) == {"voided"}


@together
async def test_a_package_taken_unseen_is_called_back(orders: Orders) -> None:
    order_id = await orders.place("taken-unseen")
    order = await orders.completed(order_id)
    assert order["state"] == "timed_out"
    assert await orders.charges(order_id) == ["refunded"]
    # The key of the second run of shipping was never used, and is closed too.
    assert sorted(await orders.shipments(order_id)) == ["recalled", "voided"]
    assert event(order, "recalled") == {"called_back": True}
    kinds = types(order)
    assert kinds.index("recalled") < kinds.index("refunded")


@together
async def test_a_package_taken_in_silence_is_found_at_the_carrier(orders: Orders) -> None:
    order_id = await orders.place("carrier-silent")
    order = await orders.ended(order_id)
    assert order["state"] == "fulfilled"
    assert types(order).count("dispatching") == 2
    assert lacks(order, ["dispatch_failed"])
    assert await orders.shipments(order_id) == ["taken"]


@together
async def test_orders_whose_activities_raise_and_hang_end_in_time(orders: Orders) -> None:
    placed = await asyncio.gather(*(orders.place("flaky") for _ in range(8)))
    for order in await asyncio.gather(*(orders.completed(one) for one in placed)):
        assert len([kind for kind in types(order) if kind in ENDS]) == 1
        fulfilled = order["state"] == "fulfilled"
        charges = await orders.charges(order["id"])
        assert charges in ([["captured"]] if fulfilled else [[], ["refunded"], ["voided"]])
        status = await orders.last_status(order["id"])
        assert status["state"] == order["state"]


async def test_the_books_balance(orders: Orders) -> None:
    books = await orders.balanced()
    assert books.refunded != "0"
