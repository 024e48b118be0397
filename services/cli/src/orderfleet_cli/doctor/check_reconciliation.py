"""Check of ReconcileOrders: its schedule, its runs, the result of the last run."""

from datetime import UTC, datetime, timedelta
from typing import Final

from temporalio.client import (
    Client,
    ScheduleActionExecutionStartWorkflow,
    ScheduleActionResult,
    ScheduleDescription,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowHandle,
)

from orderfleet.domain.contract import reconcile_schedule
from orderfleet.domain.policies import RECONCILE_RUN
from orderfleet_cli.temporal.connection import call_temporal

# Starts that may be missing: the previous run may skip one, an outage another.
_MISSED: Final = 3


async def look_at_reconciliation(client: Client, order_task_queue: str) -> tuple[bool, str]:
    """Return whether this fleet's reconciliation works, and a description.

    Raises:
        CommandError: there is no such schedule, or Temporal is unavailable.
    """
    handle = client.get_schedule_handle(reconcile_schedule(order_task_queue))
    found = await call_temporal(handle.describe())
    if found.schedule.state.paused:
        return False, "is paused"
    runs = found.info.recent_actions
    last = max((run.started_at for run in runs), default=None)
    since = last or found.info.last_updated_at or found.info.created_at
    silent = datetime.now(UTC) - since
    if silent > _longest_silence(found):
        what = "has not run" if last else "has never run"
        return False, f"{what} for {silent.total_seconds():.0f} s"
    for run in sorted(runs, key=lambda run: run.started_at, reverse=True):
        failure = await _failure(client, run)
        if failure is not None:
            return (
                not failure,
                f"its last run {failure}" if failure else "runs, and no order is left behind",
            )
    return True, "is about to run"


def _longest_silence(schedule: ScheduleDescription) -> timedelta:
    every = max(
        (interval.every for interval in schedule.schedule.spec.intervals), default=timedelta(0)
    )
    return _MISSED * every + RECONCILE_RUN


async def _failure(client: Client, run: ScheduleActionResult) -> str | None:
    """Return how a run failed: empty if it did not, None if it has not ended."""
    if not isinstance(run.action, ScheduleActionExecutionStartWorkflow):
        return None
    handle: WorkflowHandle[object, object] = client.get_workflow_handle(
        run.action.workflow_id, run_id=run.action.first_execution_run_id
    )
    status = (await call_temporal(handle.describe())).status
    if status is None or status is WorkflowExecutionStatus.RUNNING:
        return None
    if status is WorkflowExecutionStatus.COMPLETED:
        return ""
    try:
        await call_temporal(handle.result())
    except WorkflowFailureError as error:
        if status is WorkflowExecutionStatus.FAILED:
            return f"failed: {error.cause}"
    return f"was {status.name.lower()}"
