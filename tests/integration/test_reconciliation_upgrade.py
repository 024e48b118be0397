"""A fleet is upgraded while it runs: old workers know SettleOrders only."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from temporalio import activity, workflow
from temporalio.client import WorkflowExecutionStatus, WorkflowHandle
from temporalio.worker import Worker

from orderfleet.domain.contract import RECONCILE_WORKFLOW
from orderfleet.domain.orders import OrderState
from orderfleet.domain.policies import RECONCILE_RUN, TASK_TIMEOUT
from orderfleet.settings import CommonSettings
from orderfleet.store.pool import Pool
from orderfleet.temporal.client import connect
from orderfleet_order_worker.reconciliation.run import ReconciliationSummary
from tests.integration.support.books import put_order
from tests.integration.support.fleet import Fleet, new_id


@workflow.defn(name="SettleOrders", sandboxed=False)
class _OldWorkflow:
    @workflow.run
    async def run(self) -> ReconciliationSummary:
        return await workflow.execute_activity(
            _old_activity, start_to_close_timeout=timedelta(seconds=5)
        )


@activity.defn(name="settle")
async def _old_activity(since: object = None) -> ReconciliationSummary:
    return ReconciliationSummary()


@pytest.fixture
async def old_worker(fleet: Fleet) -> AsyncIterator[Worker]:
    """Poll the fleet's queue as a worker of a release that does not know the new names."""
    queue = fleet.common()["order_task_queue"]
    # Of its own, as in another process: workers that share a connection must not share a queue.
    client = await connect(CommonSettings(temporal_address=fleet.address))
    async with Worker(
        client, task_queue=queue, workflows=[_OldWorkflow], activities=[_old_activity]
    ) as worker:
        yield worker


@pytest.fixture
async def left_behind(owner: Pool) -> str:
    """Put an open order that no workflow is at."""
    order_id = new_id()
    await put_order(owner, order_id, OrderState.IN_REVIEW)
    await owner.execute("UPDATE orders SET created_at = now() - interval '1 hour'")
    return order_id


async def _start(
    fleet: Fleet, workflow_type: str, limit: timedelta
) -> WorkflowHandle[object, ReconciliationSummary]:
    """Start a run as the schedule does."""
    run_id = new_id("reconcile")
    await fleet.temporal.start_workflow(
        workflow_type,
        id=run_id,
        task_queue=fleet.common()["order_task_queue"],
        execution_timeout=limit,
        task_timeout=TASK_TIMEOUT,
    )
    return fleet.temporal.get_workflow_handle(run_id, result_type=ReconciliationSummary)


async def _activities(run: WorkflowHandle[object, ReconciliationSummary]) -> list[str]:
    return [
        event.activity_task_scheduled_event_attributes.activity_type.name
        for event in (await run.fetch_history()).events
        if event.HasField("activity_task_scheduled_event_attributes")
    ]


@pytest.mark.parametrize(
    ("workflow_type", "name"), [("SettleOrders", "settle"), (RECONCILE_WORKFLOW, "reconcile")]
)
async def test_a_new_worker_completes_runs_of_both_types(
    fleet: Fleet, left_behind: str, workflow_type: str, name: str
) -> None:
    run = await _start(fleet, workflow_type, RECONCILE_RUN)
    async with fleet.order_worker():
        assert (await run.result()).ended == 1
    assert await _activities(run) == [name]
    assert await fleet.state(left_behind) is OrderState.FAILED


@pytest.mark.usefixtures("old_worker")
async def test_runs_complete_while_an_old_worker_polls_the_queue_too(
    fleet: Fleet, left_behind: str
) -> None:
    async with fleet.order_worker():
        # A dozen, so that the old worker gets some tasks of both kinds.
        runs = [await _start(fleet, RECONCILE_WORKFLOW, timedelta(minutes=1)) for _ in range(12)]
        assert not any([(await run.result()).failures for run in runs])
    assert await fleet.state(left_behind) is OrderState.FAILED
    events = [event for run in runs for event in (await run.fetch_history()).events]
    refused = [e for e in events if e.HasField("workflow_task_failed_event_attributes")]
    assert refused, "the old worker got no task"


@pytest.mark.usefixtures("old_worker")
async def test_after_a_rollback_the_new_schedule_keeps_no_old_run_away(fleet: Fleet) -> None:
    unknown = await _start(fleet, RECONCILE_WORKFLOW, timedelta(seconds=3))
    assert not (await (await _start(fleet, "SettleOrders", RECONCILE_RUN)).result()).failures
    with pytest.raises(Exception, match="Workflow execution failed"):
        await unknown.result()
    assert (await unknown.describe()).status is WorkflowExecutionStatus.TIMED_OUT
