"""ReconcileOrders ends what a workflow left open when it closed, and gives the money back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError

from orderfleet.domain.contract import ORDER_WORKFLOW, UNRECORDED, OrderInput
from orderfleet.domain.orders import OrderState
from orderfleet.gateways.simulated import Fault
from orderfleet.store.pool import Pool
from orderfleet_api import order_service
from tests.integration.support.books import books
from tests.integration.support.chaos import Fate, chaos
from tests.integration.support.fleet import HOME, PATIENCE, Fleet, an_order, eventually, new_id
from tests.integration.support.reconciliation import reconcile, reconciled


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no order be too young to be reconciled."""
    monkeypatch.setattr("orderfleet_order_worker.reconciliation.activities._GRACE", timedelta(0))


async def _charged(fleet: Fleet) -> str:
    """Bring an order to `charged`, where it stays, as nobody ships; then stop the worker."""
    order_id = new_id()
    async with fleet.order_worker():
        await order_service.accept(fleet.backends(), order_id, an_order(f"pay-{order_id}"))
        await fleet.reached(order_id, OrderState.CHARGED)
    return order_id


async def test_a_terminated_order_is_failed_and_refunded(fleet: Fleet) -> None:
    order_id = await _charged(fleet)
    await fleet.workflow(order_id).terminate("a person did it")
    async with fleet.working():
        await reconciled(fleet, order_id, OrderState.FAILED, "refunded")
    reason = (await books(fleet.pool, order_id)).events[-2]["payload_json"]["reason"]
    assert reason == "reconciled: workflow terminated"


async def test_an_order_that_runs_is_left_alone(fleet: Fleet) -> None:
    order_id = await _charged(fleet)
    before = await books(fleet.pool, order_id)
    await reconcile(fleet)
    assert await books(fleet.pool, order_id) == before
    async with fleet.working():
        assert (await fleet.result(order_id)).state is OrderState.FULFILLED


@asynccontextmanager
async def _charging(fleet: Fleet, fault: Fault) -> AsyncIterator[str]:
    """Terminate an order whose charge is on its way, and whose worker has crashed."""
    order_id = new_id()
    async with fleet.order_worker((fault,)):
        await order_service.accept(fleet.backends(), order_id, an_order(f"pay-{order_id}"))
        await fleet.reached(order_id, OrderState.CHARGING)
        if fault.kind == "hang_after":

            async def captured() -> bool:
                return bool((await books(fleet.pool, order_id)).charges)

            await eventually(captured)
        await fleet.workflow(order_id).terminate("crash")
    async with fleet.working():
        yield order_id


async def test_a_charge_captured_without_a_record_is_refunded(fleet: Fleet) -> None:
    async with _charging(fleet, Fault("charge", "hang_after")) as order_id:
        assert (await books(fleet.pool, order_id)).payments[0]["status"] == "pending"
        await reconciled(fleet, order_id, OrderState.FAILED, "refunded")


async def test_a_charge_that_arrives_after_the_reconciliation_is_refused(fleet: Fleet) -> None:
    async with _charging(fleet, Fault("charge", "hang_before", seconds=3)) as order_id:
        await reconciled(fleet, order_id, OrderState.FAILED, "voided")
        await asyncio.sleep(3)
    charges = (await books(fleet.pool, order_id)).charges
    assert [one["status"] for one in charges] == ["voided"]


async def test_a_package_whose_order_was_terminated_is_called_back(fleet: Fleet) -> None:
    order_id = new_id()
    async with fleet.working((Fault("dispatch", "hang_after", orders=order_id),)):
        await order_service.accept(fleet.backends(), order_id, an_order(f"pay-{order_id}"))

        async def taken() -> bool:
            return bool((await books(fleet.pool, order_id)).taken)

        await eventually(taken)
        await fleet.workflow(order_id).terminate("a person did it")
        await reconciled(fleet, order_id, OrderState.FAILED, "refunded")
    assert [one["status"] for one in (await books(fleet.pool, order_id)).shipments] == ["recalled"]


def _input(order_id: str, **more: Any) -> OrderInput:
    order = an_order(f"pay-{order_id}")
    return OrderInput(payment_id=order.payment_id, address=HOME, items=order.items, **more)


async def _start(fleet: Fleet, order_id: str, **more: Any) -> None:
    """Start a workflow as Temporal's own clients do: nobody writes a row."""
    queue = fleet.common()["order_task_queue"]
    await fleet.temporal.start_workflow(
        ORDER_WORKFLOW,
        _input(order_id, review_seconds=0),
        id=order_id,
        task_queue=queue,
        execution_timeout=timedelta(seconds=PATIENCE),
        **more,
    )


async def test_a_closed_workflow_without_a_row_gets_one_and_its_end(fleet: Fleet) -> None:
    order_id = new_id()
    await _start(fleet, order_id)
    await fleet.workflow(order_id).terminate("before any worker came")
    await reconciled(fleet, order_id, OrderState.FAILED, None)
    assert await fleet.event_types(order_id) == ["received", "failed"]
    row = (await books(fleet.pool, order_id)).order
    assert (row["payment_id"], str(row["amount"])) == (f"pay-{order_id}", "15.00")


async def test_a_malformed_workflow_needs_no_reconciliation(fleet: Fleet) -> None:
    order_id = new_id()
    queue = fleet.common()["order_task_queue"]
    await fleet.temporal.start_workflow(ORDER_WORKFLOW, {"x": 1}, id=order_id, task_queue=queue)
    async with fleet.order_worker():
        with pytest.raises(WorkflowFailureError):
            await fleet.workflow(order_id).result()

    async def listed() -> bool:
        query = f"WorkflowId = '{order_id}' AND ExecutionStatus = 'Failed'"
        return (await fleet.temporal.count_workflows(query)).count == 1

    await eventually(listed)
    await reconcile(fleet)
    assert await fleet.state(order_id) is None


@pytest.mark.parametrize("back_for_the_end", [False, True])
async def test_an_order_that_never_reached_postgres_is_reconciled(
    fleet: Fleet, back_for_the_end: bool
) -> None:
    """Its workflow completed, and said that there is no record, or did not find the row to end."""
    order_id = new_id()
    # Forward work ends at 12 s, the attempts to write the end at 14.5 s.
    back_at = asyncio.get_running_loop().time() + (12.7 if back_for_the_end else PATIENCE)

    def fate() -> tuple[Fate, float]:
        away = asyncio.get_running_loop().time() < back_at
        return (Fate.LOST_BEFORE if away else Fate.FINE), 0.0

    broken = replace(fleet, pool=chaos(fleet.pool, fate))
    await _start(fleet, order_id)
    async with broken.order_worker():
        result = await fleet.result(order_id)
        assert result.state in {OrderState.FAILED, OrderState.TIMED_OUT}
    assert await fleet.state(order_id) is None
    found = await fleet.workflow(order_id).describe()
    assert found.status is WorkflowExecutionStatus.COMPLETED
    assert found.search_attributes["OrderState"] == [UNRECORDED]
    await reconciled(fleet, order_id, result.state, None)


async def test_an_end_that_postgres_did_not_get_is_written_later(fleet: Fleet, pool: Pool) -> None:
    """Charged, but Postgres went away: the workflow completes, and its refund waits for it."""
    order_id = new_id()
    away = asyncio.Event()
    broken = replace(
        fleet, pool=chaos(pool, lambda: (Fate.LOST_BEFORE if away.is_set() else Fate.FINE, 0.0))
    )
    await order_service.accept(fleet.backends(), order_id, an_order(f"pay-{order_id}"))
    slow = Fault("charge", "hang_before", times=1, seconds=0.5)
    async with broken.order_worker((slow,)):
        await fleet.reached(order_id, OrderState.CHARGING)
        away.set()
        result = await fleet.result(order_id)
        assert result.state is OrderState.FAILED
        found = await books(pool, order_id)
        assert (found.order["state"], len(found.charges)) == ("charging", 1)
        away.clear()
        await reconciled(fleet, order_id, OrderState.FAILED, "refunded")
