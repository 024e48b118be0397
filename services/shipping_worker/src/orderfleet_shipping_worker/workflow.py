"""ShippingWorkflow: one shipping attempt; on failure it signals its parent and fails."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

import msgspec
from temporalio import workflow
from temporalio.common import VersioningBehavior
from temporalio.exceptions import ApplicationError, FailureError

with workflow.unsafe.imports_passed_through():
    from orderfleet.domain import contract, policies, priorities, summaries
    from orderfleet.domain.contract import (
        DispatchFailed,
        ShippingInput,
        ShippingResult,
        StepName,
        StepStatus,
    )
    from orderfleet.domain.orders import OrderState
    from orderfleet.temporal.attempts import StepResult
    from orderfleet.temporal.inputs import check_id, input_of
    from orderfleet.temporal.steps import OnQueue, StepFailedError, run_local_step, run_step
    from orderfleet_shipping_worker.activities import ShippingActivities

R = TypeVar("R", bound=StepResult)

# Kept of the run's time, so that the signal to the parent is sent before the run times out.
_REPORT_MARGIN = timedelta(milliseconds=300)


@workflow.defn(name=contract.SHIPPING_WORKFLOW, versioning_behavior=VersioningBehavior.PINNED)
class ShippingWorkflow:
    """Prepares the package and dispatches the carrier within the time that its parent sets."""

    def __init__(self) -> None:
        info = workflow.info()
        self._steps: dict[str, StepStatus] = {}
        # A client that starts it by hand may set either.
        limits = [limit for limit in (info.execution_timeout, info.run_timeout) if limit]
        self._deadline = info.workflow_start_time + min(limits) - _REPORT_MARGIN if limits else None

    @workflow.run
    async def run(self, *arguments: Any) -> ShippingResult:
        """Ship the order.

        Raises:
            ApplicationError: shipping failed, and the parent has the signal DispatchFailed.
        """
        self._shipping = input_of(arguments, ShippingInput)
        check_id(contract.shipping_id(self._shipping.order_id, self._shipping.attempt))
        await self._step(
            ShippingActivities.prepare, StepName.PREPARE, policies.SQL_STEP, local=True
        )
        if any(status.errors for status in self._steps.values()):
            self._shipping = msgspec.structs.replace(self._shipping, retried=True)
        if self._shipping.until is not None and workflow.now() >= self._shipping.until:
            raise await self._failed(f"{StepName.DISPATCH}: no time left")
        dispatched = await self._step(
            ShippingActivities.dispatch, StepName.DISPATCH, policies.GATEWAY_STEP
        )
        return ShippingResult(OrderState.FULFILLED, dispatched.tracking, self._steps)

    @workflow.query(name=contract.STATUS_QUERY)
    def status(self) -> dict[str, StepStatus]:
        """Return attempts and errors of the steps that are over."""
        return self._steps

    async def _step(
        self,
        step: Callable[[ShippingActivities, ShippingInput], Awaitable[R]],
        name: StepName,
        timeout: timedelta,
        *,
        local: bool = False,
    ) -> R:
        summary = summaries.shipping_attempt(self._shipping.attempt)
        on_queue = OnQueue(priorities.SHIPPING, summary)
        run = run_local_step if local else partial(run_step, on_queue=on_queue)
        try:
            return await run(
                step,
                self._shipping,
                name=name,
                timeout=timeout,
                deadline=self._deadline,
                on_attempts=self._add,
            )
        except StepFailedError as error:
            raise await self._failed(f"{name}: {error}", error.kind) from error

    def _add(self, step: str, status: StepStatus) -> None:
        self._steps.setdefault(step, StepStatus()).add(status)

    async def _failed(self, reason: str, kind: str | None = None) -> ApplicationError:
        if kind != contract.ORDER_CLOSED:
            await self._signal_parent(reason)
        return ApplicationError(reason, type=kind, non_retryable=True)

    async def _signal_parent(self, reason: str) -> None:
        parent = workflow.info().parent
        if parent is None:
            return
        handle = workflow.get_external_workflow_handle(parent.workflow_id, run_id=parent.run_id)
        failed = DispatchFailed(self._shipping.attempt, reason, self._steps)
        try:
            await handle.signal(contract.DISPATCH_FAILED_SIGNAL, failed)
        except FailureError:
            workflow.logger.info("the parent has closed")
