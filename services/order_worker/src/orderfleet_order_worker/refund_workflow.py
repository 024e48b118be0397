"""RefundWorkflow: an order that ends unfulfilled gives back what it took, however long it takes."""

from typing import Any

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from orderfleet.domain.contract import (
        RECALL_ACTIVITY,
        REFUND_WORKFLOW,
        RecallInput,
        RefundInput,
        RefundResult,
        refund_id,
    )
    from orderfleet.domain.orders import OrderState
    from orderfleet.domain.policies import HEARTBEAT_TIMEOUT, UNDO_RETRY, UNDO_STEP
    from orderfleet.temporal.inputs import check_id, input_of
    from orderfleet_order_worker.activities import OrderActivities
    from orderfleet_order_worker.activity_types import KEPT, EndInput, RefundPaymentInput
    from orderfleet_order_worker.reconciliation.activities import ReconciliationActivities, Traces


@workflow.defn(name=REFUND_WORKFLOW)
class RefundWorkflow:
    """Secures the end, calls the package back, then undoes the payment: in this order.

    An order that turns out to be fulfilled keeps its money, and nothing is refunded before the
    carrier has said that the package will not arrive. What the order's row has lost, Temporal's
    histories tell.
    """

    @workflow.run
    async def run(self, *given: Any) -> RefundResult:
        """Undo what the order took; every step is repeated until it is done."""
        refund = input_of(given, RefundInput)
        check_id(refund_id(refund.order_id))
        ended = await workflow.execute_activity_method(
            OrderActivities.end,
            EndInput(refund.order_id, refund.state, refund.reason),
            start_to_close_timeout=UNDO_STEP,
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
            retry_policy=UNDO_RETRY,
        )
        if ended.state is OrderState.FULFILLED:
            return RefundResult(KEPT)
        traces = Traces(charged=False, keys=[])
        if workflow.patched("trace"):
            traces = await workflow.execute_activity_method(
                ReconciliationActivities.trace,
                refund.order_id,
                start_to_close_timeout=UNDO_STEP,
                heartbeat_timeout=HEARTBEAT_TIMEOUT,
                retry_policy=UNDO_RETRY,
            )
        recalled = False
        if ended.recall or traces.keys:
            recalled = await workflow.execute_activity(
                RECALL_ACTIVITY,
                RecallInput(refund.order_id, traces.keys),
                # The input's, where a worker of a release before wrote the end.
                task_queue=ended.shipping_task_queue or refund.shipping_task_queue,
                result_type=bool,
                start_to_close_timeout=UNDO_STEP,
                heartbeat_timeout=HEARTBEAT_TIMEOUT,
                retry_policy=UNDO_RETRY,
            )
        payment = await workflow.execute_activity_method(
            OrderActivities.refund,
            RefundPaymentInput(refund.order_id, refund.payment_id, traces.charged),
            start_to_close_timeout=UNDO_STEP,
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
            retry_policy=UNDO_RETRY,
        )
        return RefundResult(payment, recalled=recalled)
