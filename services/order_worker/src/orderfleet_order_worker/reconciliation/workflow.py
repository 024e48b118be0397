"""ReconcileOrders: the backstop for orders whose workflow closed without ending them."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, TypeAlias

from temporalio import workflow
from temporalio.common import VersioningBehavior
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from orderfleet.domain import policies, priorities
    from orderfleet.domain.contract import RECONCILE_WORKFLOW
    from orderfleet_order_worker.reconciliation.activities import ReconciliationActivities
    from orderfleet_order_worker.reconciliation.run import ReconciliationSummary
_Activity: TypeAlias = Callable[
    [ReconciliationActivities, datetime | None], Awaitable[ReconciliationSummary]
]


@workflow.defn(name=RECONCILE_WORKFLOW, versioning_behavior=VersioningBehavior.AUTO_UPGRADE)
class ReconcileOrders:
    """Finds orders left behind, ends them, and starts the refund where money may be out."""

    @workflow.run
    async def run(self, *_: Any) -> ReconciliationSummary:
        """Run once; the schedule starts the next run."""
        return await _run(ReconciliationActivities.reconcile)


@workflow.defn(name="SettleOrders", versioning_behavior=VersioningBehavior.AUTO_UPGRADE)
class SettleOrders:
    """ReconcileOrders under its old name, for what a release before started (decision 25)."""

    @workflow.run
    async def run(self, *_: Any) -> ReconciliationSummary:
        """Run once."""
        return await _run(ReconciliationActivities.settle)


async def _run(reconcile: _Activity) -> ReconciliationSummary:
    """Run the activity.

    A run with a failure completes all other work, then fails so that operators see the failure. The
    next run looks as far back as this run did: the schedule passes the result of the last run that
    succeeded.

    Raises:
        ApplicationError: part of the work failed.
    """
    last = None
    if workflow.has_last_completion_result():
        last = workflow.get_last_completion_result(ReconciliationSummary)
    since = last.began - policies.RECONCILE_OVERLAP if last and last.began else None
    summary = await workflow.execute_activity_method(
        reconcile,
        since,
        start_to_close_timeout=policies.RECONCILE_STEP,
        schedule_to_close_timeout=policies.RECONCILE_RUN,
        heartbeat_timeout=policies.HEARTBEAT_TIMEOUT,
        retry_policy=policies.RECONCILE_RETRY,
        priority=priorities.RECONCILE,
        summary="finds orders left behind",
    )
    if summary.failures:
        phases = ", ".join(f"{phase} {count}" for phase, count in summary.failures.items())
        message = f"failures: {phases}; {'; '.join(summary.errors)}"
        raise ApplicationError(message, summary, type="ReconciliationFailed", non_retryable=True)
    return summary
