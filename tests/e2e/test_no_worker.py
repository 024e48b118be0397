"""Workers are away: orders are accepted and told of, changes wait, and all ends in time."""

import asyncio
import time

import pytest
from temporalio.client import Client

from tests.e2e.support.orders import ELSEWHERE, HOME, Orders, event, lacks, new_id, types

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.alone]

_WORKERS = ("order-worker", "shipping-worker")


async def test_changes_without_a_worker_are_applied_once_by_the_next(orders: Orders) -> None:
    await asyncio.gather(*(orders.fleet.stop(one) for one in _WORKERS))
    try:
        moved, cancelled, reviewed = await asyncio.gather(*(orders.place("plain") for _ in "abc"))
        began = time.monotonic()
        key = new_id("key")
        status, shown, move, move_again, cancel, review = await asyncio.gather(
            orders.status(moved),
            orders.show(moved),
            orders.move(moved, ELSEWHERE, key),
            orders.move(moved, ELSEWHERE, key),
            orders.cancel(cancelled, new_id("key")),
            orders.review(reviewed, approved=True, key=key),
        )
        # Not a matter of speed: with no worker, a call that is not bounded never returns.
        assert time.monotonic() - began < 10
    finally:
        await asyncio.gather(*(orders.fleet.start(one) for one in _WORKERS))
    assert (status["state"], status["source"]) == ("received", "record")
    assert status["address"] == HOME
    assert 0 < status["seconds_left"] <= 15
    assert types(shown) == ["received"]
    for answer in (move, move_again, cancel):
        assert (answer.status_code, answer.json()["outcome"]) == (202, "queued")
    assert review.status_code == 503
    assert int(review.headers["Retry-After"]) > 0

    order = await orders.ended(moved)
    assert (order["state"], order["address"]) == ("fulfilled", ELSEWHERE)
    assert event(order, "address_updated") == {"address": ELSEWHERE}
    assert lacks(order, ["address_update_refused"])
    assert await orders.shipped_to(moved) == ELSEWHERE
    assert (await orders.move(moved, ELSEWHERE, key)).status_code == 200

    order = await orders.ended(cancelled)
    assert types(order).count("cancelled") == 1
    assert lacks(order, ["cancel_refused"])
    assert (await orders.ended(reviewed))["state"] == "fulfilled"


async def test_without_a_shipping_worker_the_last_seconds_go_to_one_step(orders: Orders) -> None:
    await orders.fleet.stop("shipping-worker")
    try:
        order_id = await orders.place("plain")
        order = await orders.ended(order_id)
    finally:
        await orders.fleet.start("shipping-worker")
    assert order["state"] == "timed_out"
    # The event of the shipping attempt that time ended is written with the order's end.
    ended = types(order).index("timed_out")
    assert types(order)[ended - 1] == "dispatch_failed"
    temporal = await Client.connect(orders.fleet.temporal_address)
    history = await temporal.get_workflow_handle(order_id).fetch_history()
    queued = [
        event.activity_task_scheduled_event_attributes.activity_type.name
        for event in history.events
        if event.HasField("activity_task_scheduled_event_attributes")
    ]
    assert queued == ["charge", "end"]
    await orders.completed(order_id)


async def test_the_books_balance(orders: Orders) -> None:
    await orders.balanced()
