"""OrderWorkflow: an order from acceptance to end, within its deadline."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.common import VersioningBehavior, WorkflowIDReusePolicy
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    ChildWorkflowError,
    FailureError,
    WorkflowAlreadyStartedError,
)
from temporalio.workflow import ChildWorkflowCancellationType, ParentClosePolicy

with workflow.unsafe.imports_passed_through():
    from orderfleet.domain import contract, policies, priorities, summaries
    from orderfleet.domain.contract import (
        Cancel,
        DispatchFailed,
        OrderInput,
        OrderResult,
        RefundInput,
        Review,
        ShippingInput,
        ShippingResult,
        StepName,
    )
    from orderfleet.domain.events import Event
    from orderfleet.domain.orders import Address, OrderState, check_order, is_order_id
    from orderfleet.domain.text import printable
    from orderfleet.temporal.attempts import StepResult
    from orderfleet.temporal.converter import invalid
    from orderfleet.temporal.inputs import input_of
    from orderfleet.temporal.steps import (
        OnQueue,
        StepFailedError,
        run_activity,
        run_local_step,
        run_step,
    )

    # Import names, not the module: `from orderfleet_order_worker import activities` would run that
    # module again in the sandbox of each order.
    from orderfleet_order_worker.activities import OrderActivities
    from orderfleet_order_worker.activity_types import (
        ChargeInput,
        EndInput,
        EndResult,
        ReceiveInput,
    )
    from orderfleet_order_worker.change_handling import STRICT
    from orderfleet_order_worker.handlers import OrderHandlers

S = TypeVar("S")
A = TypeVar("A")
R = TypeVar("R", bound=StepResult)

# The patches for the parent's own timer beside its child's, and for the event of the attempt that
# time ends: written with the order's end, so that the last seconds go to one step and not to two.
WATCHED_SHIPPING = "watched-shipping"
FAILED_WITH_THE_END = "failed-with-the-end"
# Stands in for a malformed input; its workflow fails before it does anything.
_NO_ORDER = OrderInput(payment_id="none", address=Address("none", "none"))


class OrderEndError(Exception):
    """The order ends in this state, for this reason. Never leaves the workflow."""

    def __init__(self, state: OrderState, reason: str, event: Event | None = None) -> None:
        super().__init__(reason)
        self.state = state
        # To be written with the end, before it.
        self.event = event
        # It may quote a gateway or a caller.
        self.reason = printable(reason)


@workflow.defn(name=contract.ORDER_WORKFLOW, versioning_behavior=VersioningBehavior.PINNED)
class OrderWorkflow(OrderHandlers):
    """One order. Postgres arbitrates every race; the workflow follows the order's row."""

    @workflow.init
    def __init__(self, *arguments: Any) -> None:
        self._refused: ApplicationError | None = None
        try:
            order = _accepted(input_of(arguments, OrderInput))
        except ApplicationError as error:
            # Raised by `run`: the SDK logs errors about an exception in `__init__`.
            self._refused, order = error, _NO_ORDER
        super().__init__(order)
        self._shipping_task_queue = contract.SHIPPING_TASK_QUEUE
        self._charge_begun = False

    @workflow.run
    async def run(self, *arguments: Any) -> OrderResult:  # noqa: ARG002 (init has it)
        """Fulfil the order, or end it in one of the other four ways."""
        if self._refused is not None:
            raise self._refused
        process = asyncio.create_task(self._process())
        while True:
            try:
                return await asyncio.shield(process)
            except asyncio.CancelledError:
                if process.done() or workflow.cancellation_reason() is None:
                    raise
                # Temporal's own cancellation acts as CancelOrder; the order's task is shielded.
                self._changes.start(self._changes.cancel(Cancel(reason="workflow cancelled")))

    async def _process(self) -> OrderResult:
        forward = asyncio.create_task(self._fulfil())
        await workflow.wait_condition(lambda: forward.done() or self._changes.cancelled)
        if self._changes.cancelled:
            forward.cancel()
            await workflow.wait([forward])
            _retrieve_exception(forward)
            return await self._close(OrderEndError(OrderState.CANCELLED, self._progress.reason))
        end = forward.exception()
        if isinstance(end, OrderEndError):
            return await self._close(end)
        return await self._complete(forward.result(), "")

    async def _fulfil(self) -> OrderState:
        await self._receive()
        await self._validate()
        await self._review()
        await self._charge()
        return await self._ship()

    # --- The steps -----------------------------------------------------------------------------

    async def _receive(self) -> None:
        received = await self._step(
            OrderActivities.receive,
            ReceiveInput(self._id, self._order),
            name=StepName.RECEIVE,
            timeout=policies.SQL_STEP,
        )
        self._shipping_task_queue = received.shipping_task_queue
        self._changes.open()

    async def _validate(self) -> None:
        validated = await self._step(
            OrderActivities.validate,
            ReceiveInput(self._id, self._order),
            name=StepName.VALIDATE,
            timeout=policies.SQL_STEP,
        )
        if validated.problem:
            raise OrderEndError(OrderState.REJECTED, validated.problem)

    async def _review(self) -> None:
        self._progress.enter(StepName.REVIEW, OrderState.IN_REVIEW)
        timeout = min(
            timedelta(seconds=self._order.review_seconds),
            self._budget.forward_left(workflow.now()),
        )
        changes = self._changes
        changes.reviewable = True
        if timeout and changes.decision is None:
            with suppress(TimeoutError):
                await workflow.wait_condition(
                    lambda: changes.decision is not None,
                    timeout=timeout,
                    timeout_summary="time for a review",
                )
        # A decision that is being written counts if it gets recorded.
        if changes.reviewing:
            with suppress(TimeoutError):
                left = self._forward_left(StepName.REVIEW)
                await workflow.wait_condition(
                    lambda: not changes.reviewing,
                    timeout=left,
                    timeout_summary="a decision is being recorded",
                )
        if changes.decision is None:
            changes.decision = Review(approved=True, reviewer="timer")
        if not changes.decision.approved:
            raise OrderEndError(OrderState.REJECTED, changes.decision.reason or "not approved")

    async def _charge(self) -> None:
        self._charge_begun = True
        await self._step(
            OrderActivities.charge,
            ChargeInput(self._id, self._order.payment_id, self._reviewed().payload),
            name=StepName.CHARGE,
            timeout=policies.GATEWAY_STEP,
            state=OrderState.CHARGING,
            on_queue=OnQueue(priorities.CHARGE, summaries.money(self._order)),
        )
        self._progress.state = OrderState.CHARGED

    async def _ship(self) -> OrderState:
        pause = policies.SHIPPING_BACKOFF
        for attempt in range(1, policies.SHIPPING_ATTEMPTS + 1):
            if attempt > 1:
                await workflow.sleep(
                    min(pause, self._forward_left(StepName.SHIP)),
                    summary=f"pause before {summaries.shipping_attempt(attempt)}",
                )
                pause *= 2
            self._progress.shipping_attempts = attempt
            self._progress.enter(StepName.SHIP, OrderState.SHIPPING)
            try:
                shipped = await self._ship_in_time(attempt)
            except (ChildWorkflowError, WorkflowAlreadyStartedError) as error:
                if self._changes.cancelled:
                    # Cancelled with `forward`: no failure to report and retry.
                    raise
                await self._shipping_failed(attempt, error)
                continue
            for step, status in shipped.steps.items():
                self._progress.add(step, status)
            return shipped.state
        reason = self._progress.dispatch_failures[policies.SHIPPING_ATTEMPTS]
        raise OrderEndError(OrderState.FAILED, f"shipping: {reason}")

    async def _ship_in_time(self, attempt: int) -> ShippingResult:
        """Return the child's result, or cancel the child when there is no time left.

        The child has the same time, but a busy server may report its end seconds late.
        """
        if not workflow.patched(WATCHED_SHIPPING):
            return await self._start_shipping(attempt)
        shipping = asyncio.create_task(self._start_shipping(attempt))
        try:
            with suppress(TimeoutError):
                await workflow.wait_condition(
                    shipping.done,
                    timeout=self._forward_left(StepName.SHIP),
                    timeout_summary="time left to ship",
                )
            if shipping.done():
                return shipping.result()
        finally:
            # Asks the server to cancel the child, and does not wait for its end.
            if shipping.cancel():
                shipping.add_done_callback(_retrieve_exception)
        await self._record_failure(DispatchFailed(attempt, "no time left"))
        raise _out_of_time(StepName.SHIP)

    async def _start_shipping(self, attempt: int) -> ShippingResult:
        shipped: ShippingResult = await workflow.execute_child_workflow(
            contract.SHIPPING_WORKFLOW,
            ShippingInput(
                order_id=self._id,
                attempt=attempt,
                retried=self._progress.retried,
                until=self._budget.forward_end,
            ),
            result_type=ShippingResult,
            id=contract.shipping_id(self._id, attempt),
            task_queue=self._shipping_task_queue,
            # What is left of the forward time, after which nothing is dispatched; not the order's
            # 15 s.
            execution_timeout=self._forward_left(StepName.SHIP),
            task_timeout=policies.TASK_TIMEOUT,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            cancellation_type=ChildWorkflowCancellationType.TRY_CANCEL,
            static_summary=summaries.shipping_attempt(attempt),
            priority=priorities.SHIPPING,
        )
        return shipped

    async def _shipping_failed(self, attempt: int, error: FailureError) -> None:
        cause = error.cause
        if isinstance(cause, ApplicationError) and cause.type == contract.ORDER_CLOSED:
            raise OrderEndError(OrderState.FAILED, f"shipping: {cause.message}") from error
        # A child that timed out could not send its DispatchFailed.
        await self._record_failure(DispatchFailed(attempt, str(cause or error)))

    async def _record_failure(self, failed: DispatchFailed) -> None:
        """Record a failed attempt; if no time is left for another one, with the order's end."""
        if self._budget.forward_left(workflow.now()) or not workflow.patched(FAILED_WITH_THE_END):
            await self._on_dispatch_failed(failed)
        else:
            raise _out_of_time(StepName.SHIP, self._dispatch_failure(failed))

    async def _step(
        self,
        step: Callable[[S, A], Awaitable[R]],
        argument: A,
        *,
        name: StepName,
        timeout: timedelta,
        state: OrderState | None = None,
        on_queue: OnQueue | None = None,
    ) -> R:
        """Run a step, a local one unless it is on the queue."""
        self._progress.enter(name, state)
        if on_queue is not None:
            # Before a local step nothing may be decided by the time: see run_local_step.
            self._forward_left(name)
        run = run_local_step if on_queue is None else partial(run_step, on_queue=on_queue)
        try:
            return await run(
                step,
                argument,
                name=name,
                timeout=timeout,
                deadline=self._budget.forward_end,
                on_attempts=self._progress.add,
            )
        except StepFailedError as error:
            raise _end_by(name, error) from error

    # --- The end -------------------------------------------------------------------------------

    async def _close(self, end: OrderEndError) -> OrderResult:
        self._progress.enter(StepName.END)
        ended = await self._write_end(end)
        if ended is None:
            # Postgres is unavailable: undo what may be taken, and leave the row to ReconcileOrders.
            if self._charge_begun:
                await self._start_refund(end)
            return await self._complete(end.state, end.reason, recorded=False)
        if ended.undo:
            await self._start_refund(end)
        # The row may have another end, written first.
        reason = end.reason if ended.state is end.state else ""
        return await self._complete(ended.state, reason, recorded=ended.recorded)

    async def _write_end(self, end: OrderEndError) -> EndResult | None:
        left = self._budget.closing_left(workflow.now())
        events = [self._reviewed()] if self._changes.decision is not None else []
        if end.event is not None:
            events.append(end.event)
        try:
            return await run_activity(
                OrderActivities.end,
                EndInput(self._id, end.state, end.reason, events, self._charge_begun),
                timeout=policies.SQL_STEP,
                left=left,
                on_queue=OnQueue(priorities.END, summaries.end_as(end.state)),
            )
        except ActivityError as error:
            self._progress.add(StepName.END, StepFailedError(error).status)
            return None

    async def _start_refund(self, end: OrderEndError) -> None:
        with suppress(WorkflowAlreadyStartedError):
            # Await its start: the server does not start an abandoned child of a closed parent.
            await workflow.start_child_workflow(
                contract.REFUND_WORKFLOW,
                RefundInput(
                    order_id=self._id,
                    payment_id=self._order.payment_id,
                    state=end.state,
                    reason=end.reason,
                    shipping_task_queue=self._shipping_task_queue,
                ),
                id=contract.refund_id(self._id),
                task_timeout=policies.TASK_TIMEOUT,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                parent_close_policy=ParentClosePolicy.ABANDON,
                cancellation_type=ChildWorkflowCancellationType.ABANDON,
                static_summary=summaries.undo_of(end.state),
                priority=priorities.UNDO,
            )
        self._progress.refund_started = True

    async def _complete(
        self, state: OrderState, reason: str, *, recorded: bool = True
    ) -> OrderResult:
        self._progress.state = state
        self._progress.reason = reason
        self._progress.show()
        self._changes.close()
        workflow.upsert_search_attributes(
            [contract.ORDER_STATE.value_set(state if recorded else contract.UNRECORDED)]
        )
        if not self._all_finished():
            try:
                left = self._budget.closing_left(workflow.now())
                await workflow.wait_condition(
                    self._all_finished, timeout=left, timeout_summary="changes are under way"
                )
            except TimeoutError:
                workflow.logger.warning("the order ended before a change was done")
        return OrderResult(self._id, state, reason)

    def _all_finished(self) -> bool:
        return workflow.all_handlers_finished() and not self._changes.pending

    def _forward_left(self, step: StepName) -> timedelta:
        left = self._budget.forward_left(workflow.now())
        if not left:
            raise _out_of_time(step)
        return left


def _out_of_time(step: StepName, event: Event | None = None) -> OrderEndError:
    return OrderEndError(OrderState.TIMED_OUT, f"no time left to {step}", event)


def _retrieve_exception(task: asyncio.Task[Any]) -> None:
    """Retrieve a task's exception, so that asyncio does not log that nobody did."""
    if not task.cancelled():
        task.exception()


def _accepted(order: OrderInput) -> OrderInput:
    """Return the input if the order is acceptable; nothing is written before this check.

    Raises:
        ApplicationError: the workflow's id is no order id, or the API would not accept the order
            either. Orders that an older release accepted go on.
    """
    problem = "" if is_order_id(workflow.info().workflow_id) else "the workflow's id is no order id"
    try:
        check_order(order)
    except ValueError as error:
        problem = problem or str(error)
    if problem and workflow.patched(STRICT):
        raise invalid(problem)
    return order


def _end_by(step: StepName, error: StepFailedError) -> Exception:
    """Return what a failed step means for its order."""
    if error.kind == contract.ORDER_CONFLICT:
        # Another order's row: leave it alone.
        return ApplicationError(str(error), type=error.kind, non_retryable=True)
    if error.kind == contract.PAYMENT_CONFLICT:
        return OrderEndError(OrderState.REJECTED, contract.PAYMENT_CONFLICT_REASON)
    if error.kind == contract.REVIEW_REJECTED:
        return OrderEndError(OrderState.REJECTED, str(error))
    state = OrderState.TIMED_OUT if error.out_of_time else OrderState.FAILED
    return OrderEndError(state, f"{step}: {error}")
