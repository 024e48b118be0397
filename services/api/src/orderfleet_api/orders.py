"""What the routes do: accept an order, change it, tell of it."""

from datetime import UTC, datetime, timedelta
from typing import TypeAlias

import msgspec
import structlog
from litestar.plugins.problem_details import ProblemDetailsException
from temporalio.client import (
    WorkflowExecutionDescription,
    WorkflowQueryFailedError,
    WorkflowUpdateFailedError,
)
from temporalio.common import (
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RPCError

from orderfleet import messages, policies
from orderfleet.messages import (
    AddressChange,
    Cancel,
    ChangeResult,
    OrderInput,
    Review,
    Status,
    StepStatus,
)
from orderfleet.orders import Address, Order, OrderState
from orderfleet.store import changes, reads
from orderfleet.store.pool import UNAVAILABLE
from orderfleet.store.reads import OrderRow
from orderfleet.store.steps import receive
from orderfleet_api import problems, workflows
from orderfleet_api.backends import Backends, postgres
from orderfleet_api.schemas import (
    APPLIED,
    LEFT_FOR_A_WORKER,
    Accepted,
    ChangeView,
    OrderView,
    StatusView,
)

log = structlog.stdlib.get_logger(__name__)

_OPEN = SearchAttributePair(messages.ORDER_STATE, messages.OPEN)
# The update's name, the signal it falls back to, and the kind of its event.
_CANCEL = (messages.CANCEL_UPDATE, messages.CANCEL_SIGNAL, changes.CANCELLED)
_ADDRESS = (messages.ADDRESS_UPDATE, messages.ADDRESS_SIGNAL, changes.ADDRESS_UPDATED)
_REVIEW = (messages.REVIEW_UPDATE, None, changes.REVIEWED)

Change: TypeAlias = Cancel | AddressChange | Review


# --- Accept ------------------------------------------------------------------------------------


async def accept(backends: Backends, order_id: str, order: Order, *, actor: str = "") -> Accepted:
    """Accept an order: look it up, start its workflow, write its row.

    The start is what accepts it. With Postgres away nothing is started; if only the row cannot be
    written, the workflow's first step writes it.
    """
    with postgres():
        known = await reads.known_order(backends.pool, order_id, order.payment_id)
    if known.state is not None:
        return _same(order, known.fingerprint, Accepted(order_id, known.state))
    if known.payer is not None:
        raise problems.conflict(f"payment id {order.payment_id} is used by another order")
    try:
        await backends.start(_start(backends, order_id, order, actor))
    except WorkflowAlreadyStartedError:
        fingerprint = await workflows.fingerprint(backends, order_id)
        return _same(order, fingerprint, Accepted(order_id, OrderState.RECEIVED))
    except RPCError as error:
        # The namespace is unknown: nothing else is, as nothing was there before.
        raise problems.temporal_failed(error) from error
    backends.metrics.order_accepted()
    try:
        await receive(backends.pool, order_id, order, {"actor": actor} if actor else {})
    except UNAVAILABLE as error:
        log.warning("accepted without a row", order_id=order_id, error=str(error))
    return Accepted(order_id, OrderState.RECEIVED)


async def _start(backends: Backends, order_id: str, order: Order, actor: str) -> None:
    settings = backends.settings
    await backends.temporal.start_workflow(
        messages.ORDER_WORKFLOW,
        OrderInput(
            payment_id=order.payment_id,
            address=order.address,
            items=order.items,
            currency=order.currency,
            deadline_seconds=settings.order_deadline_seconds,
            review_seconds=settings.review_seconds,
            actor=actor,
        ),
        id=order_id,
        task_queue=settings.order_task_queue,
        execution_timeout=timedelta(seconds=settings.order_deadline_seconds),
        task_timeout=policies.TASK_TIMEOUT,
        id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
        memo=workflows.memo(order.fingerprint),
        search_attributes=TypedSearchAttributes(
            [SearchAttributePair(messages.ORDER_STATE, messages.OPEN)]
        ),
    )


def _same(order: Order, fingerprint: str | None, accepted: Accepted) -> Accepted:
    if fingerprint != order.fingerprint:
        raise problems.conflict(f"order {accepted.order_id} exists and is another one")
    return accepted


# --- Change ------------------------------------------------------------------------------------


async def cancel(
    backends: Backends, order_id: str, change_id: str, reason: str, *, actor: str = ""
) -> ChangeView:
    """Cancel by update, or leave it as a signal."""
    change = Cancel(change_id=change_id, reason=reason, actor=actor)
    return await _change(backends, order_id, change_id, _CANCEL, change)


async def update_address(
    backends: Backends, order_id: str, change_id: str, address: Address, *, actor: str = ""
) -> ChangeView:
    """Change the address by update, or leave it as a signal."""
    change = AddressChange(address, change_id=change_id, actor=actor)
    return await _change(backends, order_id, change_id, _ADDRESS, change)


async def review(
    backends: Backends, order_id: str, change_id: str, decision: Review, *, actor: str = ""
) -> ChangeView:
    """Decide the review; there is no signal to leave, so no worker means 503."""
    change = msgspec.structs.replace(decision, change_id=change_id, actor=actor)
    return await _change(backends, order_id, change_id, _REVIEW, change)


async def _change(
    backends: Backends,
    order_id: str,
    change_id: str,
    kind: tuple[str, str | None, str],
    change: Change,
) -> ChangeView:
    update, signal, event = kind
    handle = await workflows.find(backends, order_id)
    if handle is None:
        return await _refused(backends, order_id, change, event, None)
    try:
        result: ChangeResult = await backends.ask_worker(
            backends.settings.change_wait_seconds,
            # The server answers an update by its id alone: a key of another kind is not this one.
            handle.execute_update(
                update, change, id=f"{update}/{change_id}", result_type=ChangeResult
            ),
        )
        return ChangeView(order_id, change_id, APPLIED, result.state)
    except WorkflowUpdateFailedError as error:
        return await _refused(backends, order_id, change, event, _too_late(error))
    except RPCError:
        return await _refused(backends, order_id, change, event, None)
    except TimeoutError:
        if signal is None:
            raise problems.unavailable("no worker answers") from None
    try:
        await backends.ask(handle.signal(signal, change))
    except RPCError:
        return await _refused(backends, order_id, change, event, None)
    return ChangeView(order_id, change_id, LEFT_FOR_A_WORKER)


def _too_late(error: WorkflowUpdateFailedError) -> str | None:
    """Return why the change was refused; None if the workflow closed under it."""
    cause = error.cause
    if isinstance(cause, ApplicationError):
        if cause.type == messages.TOO_LATE:
            return cause.message
        if cause.type == "AcceptedUpdateCompletedWorkflow":
            return None
    log.warning("update failed", error=str(cause))
    raise problems.unavailable("the change could not be applied, try again")


async def _refused(
    backends: Backends, order_id: str, change: Change, event: str, reason: str | None
) -> ChangeView:
    """Answer a change that came too late; a repeat of an applied one is still a success."""
    change_id = change.change_id or ""
    row = await find(backends, order_id)
    with postgres():
        reason = reason or changes.too_late(row.state)
        applied = await changes.refuse(
            backends.pool, order_id, event, change_id, reason=reason, actor=change.actor
        )
    if applied or (event == changes.CANCELLED and row.state is OrderState.CANCELLED):
        return ChangeView(order_id, change_id, APPLIED, row.state)
    raise problems.conflict(reason)


# --- Tell --------------------------------------------------------------------------------------


async def find(backends: Backends, order_id: str) -> OrderRow:
    """Return the order's row.

    Raises:
        ProblemDetailsException: there is none, or Postgres is away.
    """
    async with backends.bulkheads.reads:
        with postgres():
            row = await reads.find_order(backends.pool, order_id)
    if row is None:
        raise problems.not_found(order_id)
    return row


async def show(backends: Backends, order_id: str) -> OrderView:
    """Return the order's row, payments and audit trail."""
    async with backends.bulkheads.reads:
        with postgres():
            record = await reads.find_record(backends.pool, order_id)
    if record is None:
        raise problems.not_found(order_id)
    values = msgspec.structs.asdict(record.order)
    del values["fingerprint"]
    return OrderView(**values, payments=record.payments, events=record.events)


async def status(backends: Backends, order_id: str) -> StatusView:
    """Return the live view of the order; without a worker, what is on record."""
    try:
        live = await backends.ask_worker(
            backends.settings.query_wait_seconds, _live(backends, order_id)
        )
    except (TimeoutError, ApplicationError, RPCError, WorkflowQueryFailedError, KeyError):
        # Unanswered, or answered by a workflow of another build with what cannot be read.
        live = None
    except ProblemDetailsException:
        live = None
    if live is None:
        return await _recorded(backends, order_id)
    return StatusView(**msgspec.structs.asdict(live), source="workflow")


async def _live(backends: Backends, order_id: str) -> Status | None:
    description = await workflows.describe(backends, order_id)
    if description is None:
        return None
    handle = backends.temporal.get_workflow_handle(order_id, run_id=description.run_id)
    live = await handle.query(messages.STATUS_QUERY, result_type=Status)
    if not isinstance(live, Status):
        # Bytes or nothing: the SDK's own converters do not look at the type.
        return None
    if not live.state.ended:
        await _add_attempts(backends, live, description)
    return live


async def _add_attempts(
    backends: Backends, live: Status, described: WorkflowExecutionDescription
) -> None:
    """Add the attempts of the step that runs now: a workflow hears of them at its end only."""
    if live.step == "ship":
        at = messages.shipping_id(live.order_id, live.shipping_attempts)
        try:
            described = await backends.ask(backends.temporal.get_workflow_handle(at).describe())
        except (RPCError, ProblemDetailsException):
            return
    for pending in described.raw_description.pending_activities:
        step = live.steps.setdefault(pending.activity_type.name, StepStatus())
        step.attempts += pending.attempt
        if pending.HasField("last_failure"):
            step.last_error = pending.last_failure.message


async def _recorded(backends: Backends, order_id: str) -> StatusView:
    async with backends.bulkheads.reads:
        with postgres():
            row = await reads.find_order(backends.pool, order_id)
    started = row.created_at if row is not None else await _started(backends, order_id)
    state = row.state if row is not None else OrderState.RECEIVED
    deadline = started + timedelta(seconds=backends.settings.order_deadline_seconds)
    left = max((deadline - datetime.now(UTC)).total_seconds(), 0.0)
    return StatusView(
        order_id=order_id,
        state=state,
        step="",
        address=None if row is None else msgspec.convert(row.address, Address),
        steps={},
        shipping_attempts=0,
        errors=[],
        seconds_left=0.0 if state.ended else round(left, 3),
        source="record",
    )


async def _started(backends: Backends, order_id: str) -> datetime:
    """Return when an order without a row was accepted.

    Raises:
        ProblemDetailsException: Temporal does not know it either.
    """
    description = await workflows.describe(backends, order_id)
    if description is None:
        raise problems.not_found(order_id)
    return description.start_time
