"""What admission reads: how far orders have come, and who polls the task queues."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus

import pytest
from litestar.plugins.problem_details import ProblemDetailsException
from prometheus_client import CollectorRegistry
from temporalio.client import Client
from temporalio.service import RPCError

from orderfleet.domain.orders import OrderState
from orderfleet.gateways.simulated import Fault
from orderfleet.settings import CommonSettings
from orderfleet.store.pool import Pool
from orderfleet.store.progress import read_progress
from orderfleet.temporal.client import connect
from orderfleet_api import order_service
from orderfleet_api.admission import Admission, watched
from orderfleet_api.admission.fleet_life import FleetLife
from orderfleet_api.backends import Backends
from tests.integration.support.books import put_order
from tests.integration.support.fleet import Fleet, an_order, eventually, new_id


async def test_progress_is_read_for_the_orders_that_have_a_row(owner: Pool, pool: Pool) -> None:
    ids = [new_id() for _ in range(3)]
    for order_id in ids[:2]:
        await put_order(owner, order_id, OrderState.RECEIVED)
    assert await read_progress(pool, []) == {}
    assert await read_progress(pool, ids[2:]) == {}
    progress = await read_progress(pool, ids[1:])
    assert list(progress) == [ids[1]]
    read = progress[ids[1]]
    assert list(read.passed) == ["received"]
    assert read.passed["received"].first_attempt
    assert 0 < read.now - read.passed["received"].at < 30
    # The test's clock is Postgres' clock.
    assert abs(read.now - time.time()) < 30


async def test_progress_has_the_time_and_the_attempt_of_each_event(owner: Pool, pool: Pool) -> None:
    order_id = new_id()
    await put_order(owner, order_id, OrderState.CHARGED)
    payloads = {
        "validated": '{"attempt": 1}',
        "reviewed": '{"by": "somebody"}',
        "charging": '{"attempt": 2}',
        "charged": '{"attempt": "many"}',
    }
    began = (await read_progress(pool, [order_id]))[order_id].passed["received"].at
    for number, (type_, payload) in enumerate(payloads.items(), 2):
        await owner.execute(
            "INSERT INTO events (order_id, number, type, event_key, payload_json, ts)"
            " VALUES ($1, $2, $3, $3, $4::text::jsonb, to_timestamp($5::float8))",
            order_id,
            number,
            type_,
            payload,
            began + number / 8,
        )
    passed = (await read_progress(pool, [order_id]))[order_id].passed
    assert {type_: round(event.at - began, 3) for type_, event in passed.items()} == {
        "received": 0,
        "validated": 0.25,
        "reviewed": 0.375,
        "charging": 0.5,
        "charged": 0.625,
    }
    retried = {type_ for type_, event in passed.items() if not event.first_attempt}
    assert retried == {"charging", "charged"}


async def test_a_fleet_shows_life_while_both_kinds_of_worker_poll(fleet: Fleet) -> None:
    orders, shipping = f"orders-{fleet.suffix}", f"shipping-{fleet.suffix}"
    life = _life(fleet)
    await life.look(fleet.temporal)
    assert life.away == f"No worker polls {orders} and {shipping}."
    assert life.suspect
    assert life.away_seconds < 30
    async with fleet.order_worker():
        await eventually(lambda: _away(life, fleet.temporal, f"No worker polls {shipping}."))
        async with fleet.shipping_worker():
            # One look of an order finds them; nobody has to wait for the next round.
            async with asyncio.timeout(30):
                while life.away:
                    await life.confirm(fleet.temporal)
            assert not life.suspect


async def test_a_look_that_is_refused_is_a_sign_of_life(fleet: Fleet) -> None:
    """The server answers, and keeps from the API who polls."""
    settings = CommonSettings(temporal_address=fleet.address, temporal_namespace="none-of-ours")
    client = await connect(settings, lazy=True)
    with pytest.raises(RPCError, match="none-of-ours"):
        await client.get_workflow_handle("o").describe()
    life = _life(fleet)
    await life.look(client)
    assert (life.away, life.suspect) == ("", False)


async def test_without_workers_nothing_is_started(fleet: Fleet) -> None:
    order_id = new_id()
    async with _admitting(fleet) as (backends, admission):
        await eventually(_suspects(admission))
        with pytest.raises(ProblemDetailsException, match="No worker polls") as raised:
            await order_service.accept(backends, order_id, an_order(f"pay-{order_id}"))
        assert raised.value.status_code == HTTPStatus.SERVICE_UNAVAILABLE
        assert raised.value.extra == {"reason": "away"}
        with pytest.raises(RPCError, match="not found"):
            await fleet.workflow(order_id).describe()
        assert await fleet.state(order_id) is None
        async with fleet.working():
            # The first order after the workers have come is accepted.
            await eventually(lambda: _away(_life(fleet), fleet.temporal, ""))
            await order_service.accept(backends, order_id, an_order(f"pay-{order_id}"))
            assert (await fleet.result(order_id)).state is OrderState.FULFILLED


async def test_an_order_takes_a_place_until_it_is_dispatched(fleet: Fleet) -> None:
    """Of the limiter's sources the waits, the number that wait, and how many have left."""
    order_id = new_id("slow")
    faults = (Fault(at="dispatch", kind="hang_before", orders="slow-*", seconds=2),)
    async with fleet.working(faults), _admitting(fleet) as (backends, admission):
        await eventually(lambda: _away(admission.life, fleet.temporal, ""))
        await order_service.accept(backends, order_id, an_order(f"pay-{order_id}"))
        assert admission.orders.ids == [order_id]

        async def left() -> bool:
            return order_id not in admission.orders

        await eventually(left)
        # The carrier may still have it.
        assert "dispatching" in await fleet.event_types(order_id)
        assert admission.orders.count == 0
        assert admission.limiter.throughput > 0
        assert admission.limiter.standing_wait > 0
        assert (await fleet.result(order_id)).state is OrderState.FULFILLED


def _life(fleet: Fleet) -> FleetLife:
    return FleetLife([f"orders-{fleet.suffix}", f"shipping-{fleet.suffix}"], time.monotonic)


async def _away(life: FleetLife, client: Client, why: str) -> bool:
    await life.look(client)
    return life.away == why


def _suspects(admission: Admission) -> Callable[[], Awaitable[bool]]:
    async def suspects() -> bool:
        return admission.life.suspect

    return suspects


@asynccontextmanager
async def _admitting(fleet: Fleet) -> AsyncIterator[tuple[Backends, Admission]]:
    """Run the API's backends with an admission that is on and watches."""
    usual = fleet.backends()
    admission = Admission(usual.settings, CollectorRegistry())
    async with watched(admission, fleet.pool, fleet.temporal):
        yield Backends(fleet.pool, fleet.temporal, usual.settings, admission=admission), admission
