"""SIGTERM: what runs is finished, nothing new is begun, and the process exits 0."""

import asyncio
import functools

import httpx
import pytest

from orderfleet_cli.errors import CommandError
from tests.e2e.support.orders import Orders, event, eventually, types
from tests.e2e.support.pairs import pair

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.alone]

_WORKERS = ("order-worker", "shipping-worker")


async def _probe(orders: Orders, name: str, path: str) -> int | None:
    async with httpx.AsyncClient(trust_env=False) as http:
        try:
            return (await http.get(orders.fleet.probe_urls[name] + path)).status_code
        except httpx.TransportError:
            return None


async def test_workers_finish_the_activities_that_run(orders: Orders) -> None:
    charging, dispatching = await asyncio.gather(
        orders.place("slow-charge"), orders.place("slow-carrier")
    )
    await asyncio.gather(
        orders.until(charging, "charging"), orders.until(dispatching, "dispatching")
    )
    for name in _WORKERS:
        assert await _probe(orders, name, "/readyz") == 200
    ending = [asyncio.create_task(orders.fleet.stop(name)) for name in _WORKERS]
    try:
        # It lives and finishes its work, but takes no more.
        for name in _WORKERS:
            ready = await eventually(
                functools.partial(_probe, orders, name, "/readyz"), lambda status: status != 200
            )
            assert ready == 503
            assert await _probe(orders, name, "/livez") == 200
        assert await asyncio.gather(*ending) == [0, 0]
        assert types(await orders.show(charging))[-1] == "charged"
        assert types(await orders.show(dispatching))[-1] == "fulfilled"
    finally:
        await asyncio.gather(*ending)
        await asyncio.gather(*(orders.fleet.start(name) for name in _WORKERS))
    for order_id in (charging, dispatching):
        order = await orders.ended(order_id)
        assert order["state"] == "fulfilled"
        assert event(order, "charging") == event(order, "charged") == {"attempt": 1}
        assert event(order, "dispatching") == {"attempt": 1, "shipping_attempt": 1}


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
