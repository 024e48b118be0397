"""SIGTERM: what runs is finished, nothing new is begun, and the process exits 0."""

import asyncio
import functools

import httpx
import pytest

from orderfleet_cli.errors import CommandError
from tests.e2e.support.orders import Orders, event, eventually, types
from tests.e2e.support.pairs import pair

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.alone]


async def _probe(orders: Orders, name: str, path: str) -> int | None:
    async with httpx.AsyncClient(trust_env=False) as http:
        try:
            return (await http.get(orders.fleet.probe_urls[name] + path)).status_code
        except httpx.TransportError:
            return None


@pytest.mark.parametrize(
    ("worker", "kind", "step", "outcome"),
    [
        ("order-worker", "slow-charge", "charging", "charged"),
        ("shipping-worker", "slow-carrier", "dispatching", "fulfilled"),
    ],
)
async def test_a_worker_finishes_the_activity_that_runs(
    orders: Orders, worker: str, kind: str, step: str, outcome: str
) -> None:
    order_id = await orders.place(kind)
    await orders.until(order_id, step)
    assert await _probe(orders, worker, "/readyz") == 200
    ending = asyncio.create_task(orders.fleet.stop(worker))
    try:
        ready = await eventually(
            functools.partial(_probe, orders, worker, "/readyz"), lambda status: status != 200
        )
        assert ready == 503
        # It lives and finishes its work.
        assert await _probe(orders, worker, "/livez") == 200
        assert await ending == 0
        assert outcome in types(await orders.show(order_id))
    finally:
        await ending
        await orders.fleet.start(worker)
    order = await orders.ended(order_id)
    assert order["state"] == "fulfilled"
    # In its first attempt.
    shipping = {"shipping_attempt": 1} if step == "dispatching" else {}
    assert event(order, step) == {"attempt": 1, **shipping}


async def test_a_worker_finishes_the_local_step_that_runs(
    orders: Orders, unused_tcp_port: int
) -> None:
    async with pair(orders, "order-worker", unused_tcp_port) as workers:
        workers.stand_still()
        order_id = await orders.place("plain")
        holder = await workers.task_under_way(order_id)
        async with orders.row_held(order_id) as wanted:
            workers.go_on()
            await wanted()
            ending = asyncio.create_task(workers.end(holder))
            await asyncio.sleep(0.5)
            assert not ending.done()
        assert await ending == 0
        order = await orders.ended(order_id)
        assert order["state"] == "fulfilled"
        assert event(order, "validated") == {"attempt": 1}
        # Its workflow task was completed too.
        assert await workers.lost_tasks(order_id) == []


async def test_the_api_finishes_the_requests_under_way(orders: Orders) -> None:
    await orders.fleet.stop("order-worker")
    try:
        order_id = await orders.place("plain")
        # It takes the 2 s that a change waits for a worker.
        waiting = asyncio.create_task(orders.cancel(order_id))
        await asyncio.sleep(0.5)
        ending = asyncio.create_task(orders.fleet.stop("api"))
        answer = await waiting
        assert (answer.status_code, answer.json()["outcome"]) == (202, "queued")
        assert await ending == 0
    finally:
        await asyncio.gather(orders.fleet.start("order-worker"), _started(orders, "api"))
    assert (await orders.ended(order_id))["state"] == "cancelled"


async def _started(orders: Orders, name: str) -> None:
    try:
        orders.fleet.pid(name)
    except CommandError:
        await orders.fleet.start(name)


async def test_the_books_balance(orders: Orders) -> None:
    await orders.balanced()
