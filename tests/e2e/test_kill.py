"""A process is killed in the middle of orders: none is lost, charged twice or late.

What it costs an order is told at the end of the run; the limit is 4 s. That it is not more is seen
in the histories: by which timeout the server found out.
"""

import asyncio
import signal
from typing import NamedTuple

import pytest
from temporalio.api.enums.v1 import TimeoutType

from tests.e2e.support.costs import Costs
from tests.e2e.support.orders import Json, Orders, new_id, seconds, types
from tests.e2e.support.pairs import pair

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.alone]


class Phase(NamedTuple):
    """A moment of an order: who works at it, and how to tell that it has come."""

    worker: str
    kind: str
    event: str
    step: str
    child: str = ""


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


async def test_order_worker_killed_while_its_orders_rest(
    orders: Orders, undisturbed: dict[str, float], costs: Costs, unused_tcp_port: int
) -> None:
    async with pair(orders, "order-worker", unused_tcp_port) as workers:
        order_id = await orders.place("plain")
        await workers.kill(await workers.at_rest(order_id))
        order = await _fulfilled_once(orders, order_id)
        # The task at the review's end waited for the dead worker; nothing else was lost.
        assert await workers.lost_tasks(order_id) == [TimeoutType.TIMEOUT_TYPE_SCHEDULE_TO_START]
        assert await workers.lost_attempts(order_id) == []
    costs.add("order worker of two, during review", undisturbed["plain"], seconds(order))


async def test_order_worker_killed_during_a_workflow_task(
    orders: Orders, undisturbed: dict[str, float], costs: Costs, unused_tcp_port: int
) -> None:
    async with pair(orders, "order-worker", unused_tcp_port) as workers:
        workers.stand_still()
        order_id = await orders.place("plain")
        holder = await workers.task_under_way(order_id)
        await workers.kill(holder)
        workers.go_on()
        order = await _fulfilled_once(orders, order_id)
        assert await workers.lost_tasks(order_id) == [TimeoutType.TIMEOUT_TYPE_START_TO_CLOSE]
    costs.add("order worker of two, during a task", undisturbed["plain"], seconds(order))


async def test_shipping_worker_killed_during_a_workflow_task(
    orders: Orders, undisturbed: dict[str, float], costs: Costs, unused_tcp_port: int
) -> None:
    async with pair(orders, "shipping-worker", unused_tcp_port) as workers:
        order_id = await orders.place("plain")
        await orders.until(order_id, "validated")
        workers.stand_still()
        shipping = f"{order_id}/shipping/1"
        holder = await workers.task_under_way(shipping)
        await workers.kill(holder)
        workers.go_on()
        order = await _fulfilled_once(orders, order_id)
        assert await workers.lost_tasks(shipping) == [TimeoutType.TIMEOUT_TYPE_START_TO_CLOSE]
    costs.add("shipping worker of two, during a task", undisturbed["plain"], seconds(order))


@pytest.mark.parametrize(
    "at",
    [
        Phase("order-worker", "slow-charge", "charging", "charge"),
        Phase("shipping-worker", "slow-carrier", "dispatching", "dispatch", "/shipping/1"),
    ],
    ids=lambda at: at.step,
)
async def test_worker_killed_during_an_activity(
    orders: Orders, undisturbed: dict[str, float], costs: Costs, unused_tcp_port: int, at: Phase
) -> None:
    async with pair(orders, at.worker, unused_tcp_port) as workers:
        order_id = await orders.place(at.kind)
        await orders.until(order_id, at.event)
        await workers.kill(await workers.activity_under_way(order_id + at.child))
        order = await _fulfilled_once(orders, order_id)
        lost = await workers.lost_attempts(order_id + at.child)
        assert lost == [TimeoutType.TIMEOUT_TYPE_HEARTBEAT]
        status = await orders.last_status(order_id)
        assert status["errors"] == [f"{at.step}: timed out or worker lost"]
    what = f"{at.worker.replace('-', ' ')} of two, during a {at.step}"
    costs.add(what, undisturbed[at.kind], seconds(order))


@pytest.mark.parametrize(
    "at",
    [
        Phase("order-worker", "plain", "", "validate"),
        Phase("shipping-worker", "plain", "validated", "prepare", "/shipping/1"),
    ],
    ids=lambda at: at.step,
)
async def test_worker_killed_during_a_local_step(
    orders: Orders, undisturbed: dict[str, float], costs: Costs, unused_tcp_port: int, at: Phase
) -> None:
    async with pair(orders, at.worker, unused_tcp_port) as workers:
        if not at.event:
            workers.stand_still()
        order_id = await orders.place(at.kind)
        if at.event:
            await orders.until(order_id, at.event)
            workers.stand_still()
        holder = await workers.task_under_way(order_id + at.child)
        async with orders.row_held(order_id) as wanted:
            workers.go_on()
            await wanted()
            await workers.kill(holder)
        order = await _fulfilled_once(orders, order_id)
        # All that was lost is the workflow task, which the other worker has again from its start.
        lost = await workers.lost_tasks(order_id + at.child)
        assert lost == [TimeoutType.TIMEOUT_TYPE_START_TO_CLOSE]
        assert await workers.lost_attempts(order_id + at.child) == []
        assert (await orders.last_status(order_id))["errors"] == []
    what = f"{at.worker.replace('-', ' ')} of two, during a {at.step}"
    costs.add(what, undisturbed[at.kind], seconds(order))


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
