"""Starts at once: one order is one order, and one payment id pays for one order."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack

import httpx
import msgspec
import pytest

from orderfleet.domain.contract import ORDER_WORKFLOW, OrderInput
from orderfleet.domain.orders import Order, OrderState
from orderfleet.store import queries
from orderfleet.store.pool import Pool
from orderfleet.store.simulated_ledger import balance
from orderfleet_api import order_service
from tests.integration.support.books import books
from tests.integration.support.fleet import PATIENCE, Fleet, an_order, eventually, new_id


@pytest.fixture(autouse=True)
async def connected(pool: Pool) -> None:
    """Open all connections: a loaded machine takes longer than a request waits for one."""
    async with AsyncExitStack() as stack:
        for _ in range(pool.get_max_size()):
            await stack.enter_async_context(pool.acquire(timeout=PATIENCE))


async def _start(http: httpx.AsyncClient, order_id: str, order: Order) -> httpx.Response:
    return await http.post(
        f"/orders/{order_id}/start",
        content=msgspec.json.encode(order),
        headers={"content-type": "application/json"},
        timeout=PATIENCE,
    )


async def _workflows(fleet: Fleet, order_id: str) -> int:
    query = f"WorkflowId = '{order_id}'"
    return (await fleet.temporal.count_workflows(query)).count


async def test_fifty_starts_of_one_order_are_one_order(
    fleet: Fleet, http: httpx.AsyncClient
) -> None:
    order_id, order = new_id(), an_order(new_id("pay"))
    async with fleet.working():
        answers = await asyncio.gather(*(_start(http, order_id, order) for _ in range(50)))
        assert {answer.status_code for answer in answers} == {202}
        assert {answer.json()["order_id"] for answer in answers} == {order_id}
        other = await _start(http, order_id, an_order(order.payment_id, price="8.00"))
        assert other.status_code == 409
        assert (await fleet.result(order_id)).state is OrderState.FULFILLED
        # An order that has ended is still that order, and no new one.
        assert (await _start(http, order_id, order)).json() == {
            "order_id": order_id,
            "state": "fulfilled",
        }
        assert (await _start(http, order_id, an_order(new_id("pay")))).status_code == 409

    async def one_workflow() -> bool:
        return await _workflows(fleet, order_id) == 1

    await eventually(one_workflow)
    found = await books(fleet.pool, order_id)
    assert len(found.charges) == len(found.payments) == len(found.taken) == 1
    assert await fleet.pool.fetchval("SELECT count(*) FROM orders") == 1


async def test_two_orders_that_race_for_one_id_are_told_apart(
    fleet: Fleet, http: httpx.AsyncClient
) -> None:
    """Nobody hears 202 for an order that is not the one that was started."""
    order_id = new_id()
    bodies = [an_order("pay-a"), an_order("pay-b")] * 15
    answers = await asyncio.gather(*(_start(http, order_id, body) for body in bodies))
    row = (await books(fleet.pool, order_id)).order
    for body, answer in zip(bodies, answers, strict=True):
        assert answer.status_code == (202 if body.payment_id == row["payment_id"] else 409)
    # What runs is what the row says.
    async with fleet.working():
        await fleet.result(order_id)
    charges = (await books(fleet.pool, order_id)).charges
    assert [one["key"] for one in charges] == [row["payment_id"]]


async def test_a_twin_that_is_accepted_after_the_look_is_the_same_order(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    backends, order_id = fleet.backends(), new_id()
    order = an_order(f"pay-{order_id}")
    look = queries.find_existing

    async def then_the_twin(pool: Pool, order_id: str, payment_id: str) -> queries.ExistingOrder:
        monkeypatch.setattr(queries, "find_existing", look)
        known = await look(pool, order_id, payment_id)
        await order_service.accept(backends, order_id, order)
        return known

    monkeypatch.setattr(queries, "find_existing", then_the_twin)
    accepted = await order_service.accept(backends, order_id, order)
    assert (accepted.order_id, accepted.state) == (order_id, OrderState.RECEIVED)


async def _one_charge(fleet: Fleet, pool: Pool, payment_id: str, rejected: int) -> None:
    states = await pool.fetch("SELECT id, state FROM orders WHERE payment_id = $1", payment_id)
    assert Counter(row["state"] for row in states) == {"fulfilled": 1, "rejected": rejected}
    charges = await pool.fetch("SELECT order_id, status FROM gateway.charges")
    assert [row["status"] for row in charges] == ["captured"]
    winner = next(row["id"] for row in states if row["state"] == "fulfilled")
    assert charges[0]["order_id"] == winner
    for row in states:
        if row["id"] != winner:
            assert (await fleet.result(row["id"])).reason == "payment_conflict"
    found = await balance(pool)
    assert found.balanced, found


async def test_one_payment_id_pays_for_one_of_fifty_workflows(fleet: Fleet) -> None:
    """Past the API's look-up: the table `payments` alone decides."""
    order = an_order(new_id("pay"))
    given = OrderInput(
        payment_id=order.payment_id,
        address=order.address,
        items=order.items,
        deadline_seconds=PATIENCE,
        review_seconds=0,
    )
    ids = [new_id() for _ in range(50)]
    queue = fleet.common()["order_task_queue"]
    async with fleet.working():
        for order_id in ids:
            await fleet.temporal.start_workflow(
                ORDER_WORKFLOW, given, id=order_id, task_queue=queue
            )
        await asyncio.gather(*(fleet.result(order_id) for order_id in ids))
    await _one_charge(fleet, fleet.pool, order.payment_id, rejected=49)


async def test_one_payment_id_pays_for_one_of_fifty_requests(
    fleet: Fleet, http: httpx.AsyncClient
) -> None:
    order = an_order(new_id("pay"))
    ids = [new_id() for _ in range(50)]
    async with fleet.working():
        answers = await asyncio.gather(*(_start(http, order_id, order) for order_id in ids))
        codes = Counter(answer.status_code for answer in answers)
        assert codes.keys() <= {202, 409}
        started = [
            order_id
            for order_id, answer in zip(ids, answers, strict=True)
            if answer.status_code == 202
        ]
        await asyncio.gather(*(fleet.result(order_id) for order_id in started))
        assert (await _start(http, new_id(), order)).status_code == 409
    await _one_charge(fleet, fleet.pool, order.payment_id, rejected=len(started) - 1)
