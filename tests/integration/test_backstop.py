"""The schedule of ReconcileOrders, and the whole backstop with both workers gone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from temporalio.client import ScheduleActionStartWorkflow, ScheduleHandle, WorkflowExecutionStatus
from temporalio.service import RPCError

from orderfleet.domain.contract import reconcile_schedule
from orderfleet.domain.orders import OrderState
from orderfleet.runtime.process import Lifecycle
from orderfleet.store.simulated_ledger import balance
from orderfleet_api import order_service
from orderfleet_order_worker.main import serve as serve_orders
from orderfleet_order_worker.reconciliation.schedule import schedule_reconciliation
from tests.integration.support.books import books
from tests.integration.support.fleet import Fleet, an_order, eventually, new_id


@pytest.fixture(autouse=True)
async def unscheduled(fleet: Fleet) -> AsyncIterator[None]:
    """Leave no schedule behind: it would start ReconcileOrders on a queue that nobody polls."""
    yield
    try:
        await _schedule(fleet).delete()
    except RPCError as error:
        pytest.fail(f"there was no schedule: {error}")


def _schedule(fleet: Fleet) -> ScheduleHandle:
    queue: str = fleet.common()["order_task_queue"]
    return fleet.temporal.get_schedule_handle(reconcile_schedule(queue))


async def _interval(fleet: Fleet) -> tuple[timedelta, bool, str]:
    schedule = (await _schedule(fleet).describe()).schedule
    assert isinstance(schedule.action, ScheduleActionStartWorkflow)
    every = schedule.spec.intervals[0].every
    return every, schedule.state.paused, schedule.action.task_queue


async def test_the_schedule_is_made_once_and_follows_the_settings(fleet: Fleet) -> None:
    queue = fleet.common()["order_task_queue"]
    # Two workers that start at once, then one with other settings.
    ten = fleet.order_settings(reconcile_seconds=10.0)
    await asyncio.gather(*(schedule_reconciliation(fleet.temporal, ten) for _ in range(2)))
    assert await _interval(fleet) == (timedelta(seconds=10), False, queue)
    await schedule_reconciliation(fleet.temporal, fleet.order_settings(reconcile_seconds=60.0))
    assert await _interval(fleet) == (timedelta(minutes=1), False, queue)
    await schedule_reconciliation(fleet.temporal, fleet.order_settings(reconcile_seconds=0.0))
    assert (await _interval(fleet))[1] is True
    await schedule_reconciliation(fleet.temporal, ten)
    assert await _interval(fleet) == (timedelta(seconds=10), False, queue)


@asynccontextmanager
async def _served(fleet: Fleet, port: int) -> AsyncIterator[None]:
    """Run the order worker as its process does, with ReconcileOrders every second."""
    lifecycle = Lifecycle()
    # A worker with versions would stay until its orders have ended.
    settings = fleet.order_settings(reconcile_seconds=1.0, probe_port=port, versioning="off")
    serving = asyncio.create_task(serve_orders(settings, lifecycle))
    try:
        yield
    finally:
        lifecycle.stopping.set()
        await serving


async def test_an_order_that_both_workers_left_is_timed_out_and_refunded(
    fleet: Fleet, unused_tcp_port: int
) -> None:
    order_id = new_id()
    backends = fleet.backends(order_deadline_seconds=5.0)
    async with _served(fleet, unused_tcp_port):
        await order_service.accept(backends, order_id, an_order(f"pay-{order_id}"))
        await fleet.reached(order_id, OrderState.CHARGED)

    async def closed() -> bool:
        found = await fleet.workflow(order_id).describe()
        return found.status is WorkflowExecutionStatus.TIMED_OUT

    await eventually(closed)
    assert (await books(fleet.pool, order_id)).payments[0]["status"] == "captured"
    async with _served(fleet, unused_tcp_port):

        async def refunded() -> bool:
            statuses = [one["status"] for one in (await books(fleet.pool, order_id)).payments]
            return statuses == ["refunded"]

        await eventually(refunded)
    found = await books(fleet.pool, order_id)
    assert found.order["state"] == "timed_out"
    assert [one["type"] for one in found.events][-2:] == ["timed_out", "refunded"]
    held = await balance(fleet.pool)
    assert held.balanced, held
