"""SettleOrders: the backstop for orders whose workflow closed without ending them."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from orderfleet.messages import SETTLE_WORKFLOW
    from orderfleet.policies import HEARTBEAT_TIMEOUT, SETTLE_STEP, STEP_RETRY
    from orderfleet_order_worker.settle_activities import SettleActivities, SettleSummary


@workflow.defn(name=SETTLE_WORKFLOW)
class SettleOrders:
    """Finds them, ends them, and starts the refund where money may be out."""

    @workflow.run
    async def run(self) -> SettleSummary:
        """Settle what is found now; the schedule comes again."""
        return await workflow.execute_activity_method(
            SettleActivities.settle,
            start_to_close_timeout=SETTLE_STEP,
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
            retry_policy=STEP_RETRY,
        )
