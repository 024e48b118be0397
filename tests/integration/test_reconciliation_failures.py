"""A run of ReconcileOrders that fails is seen, and the next one makes up for it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

import pytest
from temporalio.client import (
    ScheduleActionExecutionStartWorkflow,
    ScheduleUpdate,
    ScheduleUpdateInput,
    WorkflowExecutionStatus,
    WorkflowHandle,
)

from orderfleet.domain.contract import reconcile_schedule
from orderfleet.domain.orders import OrderState
from orderfleet.domain.policies import RECONCILE_OVERLAP, TASK_TIMEOUT
from orderfleet.store.pool import Pool
from orderfleet.temporal.converter import make_data_converter
from orderfleet_cli.doctor.check_reconciliation import look_at_reconciliation
from orderfleet_cli.errors import CommandError
from orderfleet_order_worker.reconciliation.run import ReconciliationSummary
from orderfleet_order_worker.reconciliation.schedule import schedule_reconciliation
from tests.integration.support.books import put_order, put_payment
from tests.integration.support.fleet import Fleet, eventually


def _queue(fleet: Fleet) -> str:
    queue: str = fleet.common()["order_task_queue"]
    return queue


@asynccontextmanager
async def _scheduled(fleet: Fleet) -> AsyncIterator[None]:
    await schedule_reconciliation(fleet.temporal, fleet.order_settings(reconcile_seconds=1.0))
    try:
        yield
    finally:
        await fleet.temporal.get_schedule_handle(reconcile_schedule(_queue(fleet))).delete()


async def _runs(fleet: Fleet) -> list[WorkflowHandle[object, object]]:
    """Return the last runs, the newest last."""
    handle = fleet.temporal.get_schedule_handle(reconcile_schedule(_queue(fleet)))
    found = await handle.describe()
    return [
        fleet.temporal.get_workflow_handle(
            run.action.workflow_id, run_id=run.action.first_execution_run_id
        )
        for run in found.info.recent_actions
        if isinstance(run.action, ScheduleActionExecutionStartWorkflow)
    ]


async def _looked(fleet: Fleet, ok: bool, words: str) -> None:
    """Wait until the doctor says so."""
    said: list[tuple[bool, str]] = []

    async def there() -> bool:
        said.append(await look_at_reconciliation(fleet.temporal, _queue(fleet)))
        return said[-1][0] is ok and words in said[-1][1]

    try:
        await eventually(there)
    except TimeoutError:
        pytest.fail(str(said[-1]))


async def test_the_doctor_tells_of_a_run_that_failed(fleet: Fleet, owner: Pool) -> None:
    with pytest.raises(CommandError):
        await look_at_reconciliation(fleet.temporal, _queue(fleet))
    async with _scheduled(fleet):
        assert (await look_at_reconciliation(fleet.temporal, _queue(fleet)))[0]
        async with fleet.order_worker():
            await _looked(fleet, True, "runs, and no order is left behind")
            # An id that Temporal does not take: its refund cannot be started.
            endless = "x" * 2000
            await put_order(owner, endless, OrderState.FAILED)
            await put_payment(owner, endless, "captured")
            await owner.execute("UPDATE orders SET updated_at = now() - interval '1 hour'")
            await _looked(fleet, False, "failures: refunds 1; refunds: xxx")
            await owner.execute("DELETE FROM payments")
            await _looked(fleet, True, "runs, and no order is left behind")


async def test_the_doctor_tells_of_a_schedule_that_rests(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with _scheduled(fleet):
        # Nobody works: the first run does not end, and keeps the others away.
        monkeypatch.setattr("orderfleet_cli.doctor.check_reconciliation._MISSED", 1)
        monkeypatch.setattr(
            "orderfleet_cli.doctor.check_reconciliation.RECONCILE_RUN", 2 * TASK_TIMEOUT
        )
        await _looked(fleet, False, "has not run for")

        def pause(found: ScheduleUpdateInput) -> ScheduleUpdate:
            found.description.schedule.state.paused = True
            return ScheduleUpdate(found.description.schedule)

        handle = fleet.temporal.get_schedule_handle(reconcile_schedule(_queue(fleet)))
        await handle.update(pause)
        assert await look_at_reconciliation(fleet.temporal, _queue(fleet)) == (False, "is paused")


async def test_a_run_goes_on_where_the_last_good_one_began(fleet: Fleet) -> None:
    good: list[WorkflowHandle[object, object]] = []

    async def twice() -> bool:
        runs = [(run, await run.describe()) for run in await _runs(fleet)]
        good[:] = [run for run, found in runs if found.status is WorkflowExecutionStatus.COMPLETED]
        return len(good) > 1

    async with _scheduled(fleet), fleet.order_worker():
        await eventually(twice)
    assert await _since(good[0]) is None
    first = fleet.temporal.get_workflow_handle(
        good[0].id, run_id=good[0].run_id, result_type=ReconciliationSummary
    )
    began = (await first.result()).began
    assert began is not None
    assert await _since(good[1]) == began - RECONCILE_OVERLAP


async def _since(run: WorkflowHandle[object, object]) -> datetime | None:
    """Return how far back a run looked, and see to it that its tasks have the fleet's limit."""
    events = (await run.fetch_history()).events
    started = events[0].workflow_execution_started_event_attributes
    assert started.workflow_task_timeout.ToTimedelta() == TASK_TIMEOUT
    scheduled = next(
        event.activity_task_scheduled_event_attributes
        for event in events
        if event.HasField("activity_task_scheduled_event_attributes")
    )
    payloads = scheduled.input.payloads
    if not payloads[0].data:
        return None
    since: datetime = make_data_converter().payload_converter.from_payloads(payloads, [datetime])[0]
    return since
