"""SettleOrders: the backstop for orders whose workflow closed without ending them."""

from typing import Any

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from orderfleet.domain import policies
    from orderfleet.domain.contract import RECONCILE_WORKFLOW
    from orderfleet_order_worker.reconciliation.activities import ReconciliationActivities
    from orderfleet_order_worker.reconciliation.run import ReconciliationSummary


@workflow.defn(name=RECONCILE_WORKFLOW)
class SettleOrders:
    """Finds them, ends them, and starts the refund where money may be out."""

    @workflow.run
    async def run(self, *_: Any) -> ReconciliationSummary:
        """Settle what is found now; the schedule comes again.

        A run with a failure fails when all else is done, so that it is seen. The next one looks as
        far back as this one did: the schedule hands it the result of the last run that did not.

        Raises:
            ApplicationError: something could not be settled.
        """
        last = None
        if workflow.has_last_completion_result():
            last = workflow.get_last_completion_result(ReconciliationSummary)
        since = last.began - policies.RECONCILE_OVERLAP if last and last.began else None
        summary = await workflow.execute_activity_method(
            ReconciliationActivities.reconcile,
            since,
            start_to_close_timeout=policies.RECONCILE_STEP,
            schedule_to_close_timeout=policies.RECONCILE_RUN,
            heartbeat_timeout=policies.HEARTBEAT_TIMEOUT,
            # The next run is the next try.
            retry_policy=RetryPolicy(maximum_attempts=1),
        )
        if summary.failures:
            phases = ", ".join(f"{phase} {count}" for phase, count in summary.failures.items())
            message = f"failures: {phases}; {'; '.join(summary.errors)}"
            raise ApplicationError(message, summary, type="SettlingFailed", non_retryable=True)
        return summary
