"""A process is killed in the middle of orders: none is lost, charged twice or late."""

import asyncio
import signal

import pytest

from tests.e2e.support.costs import Costs
from tests.e2e.support.orders import Json, Orders, new_id, seconds, types

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def _kill(orders: Orders, name: str) -> None:
    assert await orders.fleet.stop(name, signal.SIGKILL) == -signal.SIGKILL
    await orders.fleet.start(name)


async def _fulfilled_once(orders: Orders, order_id: str) -> Json:
    order = await orders.ended(order_id)
    assert order["state"] == "fulfilled", order
    assert types(order).count("charged") == 1
    assert await orders.charges(order_id) == ["captured"]
    assert await orders.shipments(order_id) == ["taken"]
    return order


async def test_order_worker_killed(
    orders: Orders, undisturbed: dict[str, float], costs: Costs
) -> None:
    charging = await orders.place("slow-charge")
    await orders.until(charging, "charging")
    reviewed = await orders.place("plain")
    await orders.until(reviewed, "validated")
    accepted = await orders.place("plain")
    await _kill(orders, "order-worker")
    for order_id, kind, where in (
        (charging, "slow-charge", "a charge"),
        (reviewed, "plain", "review"),
        (accepted, "plain", "its first step"),
    ):
        order = await _fulfilled_once(orders, order_id)
        costs.add(f"order worker, during {where}", undisturbed[kind], seconds(order))


async def test_shipping_worker_killed(
    orders: Orders, undisturbed: dict[str, float], costs: Costs
) -> None:
    dispatching, reviewed = await asyncio.gather(
        orders.place("slow-carrier"), orders.place("plain")
    )
    await orders.until(dispatching, "dispatching")
    await _kill(orders, "shipping-worker")
    order = await _fulfilled_once(orders, dispatching)
    # The second attempt took over a claim whose outcome nobody knew.
    assert types(order).count("dispatching") == 2
    costs.add("shipping worker, during a dispatch", undisturbed["slow-carrier"], seconds(order))
    order = await _fulfilled_once(orders, reviewed)
    costs.add("shipping worker, while it had no part", undisturbed["plain"], seconds(order))


async def test_api_killed(orders: Orders, undisturbed: dict[str, float], costs: Costs) -> None:
    reviewed = await orders.place("plain")
    await orders.until(reviewed, "validated")
    # On its way when the process dies: whether it was accepted, nobody can say.
    torn = [new_id("plain") for _ in range(5)]
    sent = asyncio.gather(*(orders.start(one) for one in torn), return_exceptions=True)
    await asyncio.sleep(0.02)
    await _kill(orders, "api")
    await sent
    for answer in await asyncio.gather(*(orders.start(one) for one in torn)):
        assert answer.status_code == 202
    for order_id in torn:
        order = await _fulfilled_once(orders, order_id)
        assert types(order).count("received") == 1
    order = await _fulfilled_once(orders, reviewed)
    costs.add("API, during review", undisturbed["plain"], seconds(order))


async def test_the_books_balance(orders: Orders) -> None:
    await orders.balanced()
