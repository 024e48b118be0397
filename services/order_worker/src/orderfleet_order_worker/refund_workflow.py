"""RefundWorkflow: undoes the payment of an order that ends unfulfilled, however long it takes."""

from typing import Any

from temporalio import workflow
from temporalio.common import VersioningBehavior
from temporalio.workflow import ActivityConfig

with workflow.unsafe.imports_passed_through():
    from orderfleet.domain import summaries
    from orderfleet.domain.contract import (
        RECALL_ACTIVITY,
        REFUND_WORKFLOW,
        RecallInput,
        RefundInput,
        RefundResult,
        refund_id,
    )
    from orderfleet.domain.orders import OrderState
    from orderfleet.domain.policies import UNDO
    from orderfleet.temporal.inputs import check_id, input_of
    from orderfleet_order_worker.activities import OrderActivities
    from orderfleet_order_worker.activity_types import KEPT, EndInput, RefundPaymentInput
    from orderfleet_order_worker.reconciliation.activities import ReconciliationActivities, Traces


@workflow.defn(name=REFUND_WORKFLOW, versioning_behavior=VersioningBehavior.AUTO_UPGRADE)
class RefundWorkflow:
    """Writes the end, calls the package back, then undoes the payment: in this order.

    An order that turns out to be fulfilled keeps its money, and nothing is refunded before the
    carrier has confirmed that the package will not arrive. What the order's row lost is read from
    Temporal's histories.
    """

    @workflow.run
    async def run(self, *arguments: Any) -> RefundResult:
        """Undo what the order took; every step is retried until it succeeds."""
        refund = input_of(arguments, RefundInput)
        check_id(refund_id(refund.order_id))
        ended = await workflow.execute_activity_method(
            OrderActivities.end,
            EndInput(refund.order_id, refund.state, refund.reason),
            **_undo(summaries.end_as(refund.state)),
        )
        if ended.state is OrderState.FULFILLED:
            return RefundResult(KEPT)
        traces = Traces(charged=False, keys=[])
        if workflow.patched("trace"):
            traces = await workflow.execute_activity_method(
                ReconciliationActivities.trace,
                refund.order_id,
                **_undo("charges and packages in Temporal's histories"),
            )
        recalled = False
        if ended.recall or traces.keys:
            # The input's queue, where a worker of an older release wrote the end.
            queue = ended.shipping_task_queue or refund.shipping_task_queue
            undo: ActivityConfig = {**_undo("the package"), "task_queue": queue}
            recalled = await workflow.execute_activity(
                RECALL_ACTIVITY,
                RecallInput(refund.order_id, traces.keys, traces.restored),
                result_type=bool,
                **undo,
            )
        payment = await workflow.execute_activity_method(
            OrderActivities.refund,
            RefundPaymentInput(refund.order_id, refund.payment_id, traces.charged),
            **_undo("the payment"),
        )
        return RefundResult(payment, recalled=recalled)


def _undo(summary: str) -> ActivityConfig:
    return {**UNDO, "summary": summary}
