"""ForgetWorkflow: forgets an order, first in Postgres, then in Temporal."""

from typing import Any

from temporalio import workflow
from temporalio.common import VersioningBehavior

with workflow.unsafe.imports_passed_through():
    from orderfleet.domain.contract import (
        FORGET_WORKFLOW,
        STATUS_QUERY,
        ForgetInput,
        ForgetResult,
        ForgetStep,
        forget_id,
    )
    from orderfleet.domain.policies import FORGET_HISTORIES, FORGET_ROWS
    from orderfleet.temporal.inputs import check_id, input_of
    from orderfleet_order_worker.forgetting.activities import ForgetActivities


@workflow.defn(name=FORGET_WORKFLOW, versioning_behavior=VersioningBehavior.AUTO_UPGRADE)
class ForgetWorkflow:
    """Redacts the order's rows, then deletes the histories of its workflows.

    In this order: while a history is left, nothing is lost that the rows would need, and what comes
    late for a forgotten order is redacted as it is written. Both steps may be repeated.
    """

    def __init__(self) -> None:
        self._step = ForgetStep.ROWS

    @workflow.run
    async def run(self, *arguments: Any) -> ForgetResult:
        """Forget the order.

        Raises:
            ActivityError: the order cannot be forgotten: unknown, open, or owed its money.
        """
        order_id = input_of(arguments, ForgetInput).order_id
        check_id(forget_id(order_id))
        result = await workflow.execute_activity_method(
            ForgetActivities.forget_rows, order_id, **FORGET_ROWS
        )
        self._step = ForgetStep.HISTORIES
        await workflow.execute_activity_method(
            ForgetActivities.forget_histories, order_id, **FORGET_HISTORIES
        )
        self._step = ForgetStep.DONE
        return result

    @workflow.query(name=STATUS_QUERY)
    def status(self) -> ForgetStep:
        """Return which step is under way."""
        return self._step
