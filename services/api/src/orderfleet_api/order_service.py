"""What the routes do: accept an order, change it, tell of it."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from http import HTTPStatus
from typing import Any
from uuid import uuid4

import msgspec
import structlog
from litestar.plugins.problem_details import ProblemDetailsException
from temporalio.client import (
    WorkflowExecutionDescription,
    WorkflowHandle,
    WorkflowQueryFailedError,
    WorkflowUpdateFailedError,
)
from temporalio.common import (
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from orderfleet.domain import contract, policies
from orderfleet.domain.contract import (
    AddressChange,
    Cancel,
    Change,
    ChangeResult,
    OrderInput,
    Review,
    Status,
    StepStatus,
)
from orderfleet.domain.orders import Address, Order, OrderState
from orderfleet.store import change_requests, changes, queries
from orderfleet.store.pool import UNAVAILABLE
from orderfleet.store.queries import OrderRow
from orderfleet.store.transitions import receive
from orderfleet_api import errors, workflows
from orderfleet_api.backends import Backends, postgres
from orderfleet_api.schemas import (
    APPLIED,
    QUEUED,
    Accepted,
    ChangeView,
    OrderView,
    StatusView,
)

log = structlog.stdlib.get_logger(__name__)

_OPEN = SearchAttributePair(contract.ORDER_STATE, contract.OPEN)
# Failures of an update that a new try would meet again; the last is the server's own.
_FINAL = {
    contract.TOO_LATE,
    contract.OTHER_CHANGE,
    contract.TOO_MANY_CHANGES,
    contract.INVALID_PAYLOAD,
    "AcceptedUpdateCompletedWorkflow",
}
# The server's bounds of one workflow: 10 updates at once, 2,000 in all. Signals have their own.
_NO_MORE_UPDATES = {RPCStatusCode.RESOURCE_EXHAUSTED, RPCStatusCode.FAILED_PRECONDITION}


# --- Accept ------------------------------------------------------------------------------------


async def accept(backends: Backends, order_id: str, order: Order, *, actor: str = "") -> Accepted:
    """Accept an order: look it up, start its workflow, write its row.

    The start is what accepts it. With Postgres away nothing is started; if only the row cannot be
    written, the workflow's first step writes it.
    """
    with postgres():
        known = await queries.known_order(backends.pool, order_id, order.payment_id)
    if known.state is not None:
        return _same(order, known.fingerprint, Accepted(order_id, known.state))
    if known.payer is not None:
        raise errors.conflict(f"payment id {order.payment_id} is used by another order")
    try:
        await backends.start(_start(backends, order_id, order, actor))
    except WorkflowAlreadyStartedError:
        fingerprint = await workflows.fingerprint(backends, order_id)
        return _same(order, fingerprint, Accepted(order_id, OrderState.RECEIVED))
    backends.metrics.order_accepted()
    try:
        await receive(backends.pool, order_id, order, {"actor": actor} if actor else {})
    except UNAVAILABLE as error:
        log.warning("accepted without a row", order_id=order_id, error=str(error))
    return Accepted(order_id, OrderState.RECEIVED)


async def _start(backends: Backends, order_id: str, order: Order, actor: str) -> None:
    settings = backends.settings
    await backends.temporal.start_workflow(
        contract.ORDER_WORKFLOW,
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
            [SearchAttributePair(contract.ORDER_STATE, contract.OPEN)]
        ),
    )


def _same(order: Order, fingerprint: str | None, accepted: Accepted) -> Accepted:
    if fingerprint != order.fingerprint:
        raise errors.conflict(f"order {accepted.order_id} exists and is another one")
    return accepted


# --- Change ------------------------------------------------------------------------------------


async def cancel(
    backends: Backends, order_id: str, change_id: str, reason: str, *, actor: str = ""
) -> ChangeView:
    """Cancel by update, or leave it as a signal."""
    change = Cancel(change_id=change_id, reason=reason, actor=actor)
    return await _change(backends, order_id, change, contract.CANCEL_UPDATE, contract.CANCEL_SIGNAL)


async def update_address(
    backends: Backends, order_id: str, change_id: str, address: Address, *, actor: str = ""
) -> ChangeView:
    """Change the address by update, or leave it as a signal."""
    change = AddressChange(address, change_id=change_id, actor=actor)
    return await _change(
        backends, order_id, change, contract.ADDRESS_UPDATE, contract.ADDRESS_SIGNAL
    )


async def review(
    backends: Backends, order_id: str, change_id: str, decision: Review, *, actor: str = ""
) -> ChangeView:
    """Decide the review; there is no signal to leave, so no worker means 503."""
    change = msgspec.structs.replace(decision, change_id=change_id, actor=actor)
    return await _change(backends, order_id, change, contract.REVIEW_UPDATE)


async def _change(
    backends: Backends, order_id: str, change: Change, update: str, signal: str | None = None
) -> ChangeView:
    handle = await workflows.find(backends, order_id)
    if handle is None:
        return await _refused(backends, order_id, change, None)
    try:
        result = await backends.ask_worker(
            backends.settings.change_wait_seconds, _update(handle, update, change)
        )
    except WorkflowUpdateFailedError as error:
        return await _refused(backends, order_id, change, _too_late(error))
    except RPCError:
        return await _refused(backends, order_id, change, None)
    except TimeoutError:
        result = None
    if result is not None:
        return _applied(order_id, change, result.state)
    if signal is None:
        raise errors.unavailable("no worker answers")
    with postgres():
        # First: should nobody ever take the signal up, this tells SettleOrders to answer it.
        asked = await change_requests.ask(backends.pool, order_id, change)
    if not asked:
        raise errors.other_change()
    try:
        await backends.ask(handle.signal(signal, change))
    except RPCError:
        return await _refused(backends, order_id, change, None)
    return ChangeView(order_id, change.change_id or "", QUEUED)


async def _update(
    handle: WorkflowHandle[Any, Any], update: str, change: Change
) -> ChangeResult | None:
    """Return the update's result; None if the order takes no more updates, only signals.

    Temporal answers an update by its id alone, and repeats a failure for ever. So the id names the
    caller and all of the change, and a failure that waiting mends is tried once more under a new
    one: that of an earlier request comes at once.
    """
    digest = sha256(msgspec.json.encode(change)).hexdigest()
    name = f"{update}/{change.change_id}/{digest}"
    ids = (name, f"{name}/{uuid4()}")
    for update_id in ids:
        try:
            result: ChangeResult = await handle.execute_update(
                update, change, id=update_id, result_type=ChangeResult
            )
        except WorkflowUpdateFailedError as error:
            if _is_final(error) or update_id == ids[-1]:
                raise
        except RPCError as error:
            if error.status not in _NO_MORE_UPDATES:
                raise
            break
        else:
            return result
    return None


def _is_final(error: WorkflowUpdateFailedError) -> bool:
    return isinstance(error.cause, ApplicationError) and error.cause.type in _FINAL


def _too_late(error: WorkflowUpdateFailedError) -> str | None:
    """Return why the change was refused; None if the workflow closed under it."""
    cause = error.cause
    if isinstance(cause, ApplicationError):
        match cause.type:
            case contract.TOO_LATE:
                return cause.message
            case contract.OTHER_CHANGE:
                raise errors.other_change()
            case contract.TOO_MANY_CHANGES:
                raise errors.conflict(cause.message)
            case contract.INVALID_PAYLOAD:
                raise errors.problem(HTTPStatus.UNPROCESSABLE_ENTITY, cause.message)
            case "AcceptedUpdateCompletedWorkflow":
                return None
    log.warning("update failed", error=str(cause))
    raise errors.unavailable("the change could not be applied, try again")


async def _refused(
    backends: Backends, order_id: str, change: Change, reason: str | None
) -> ChangeView:
    """Answer a change that came too late; a repeat of an applied one is still a success."""
    row = await find(backends, order_id)
    # By whatever id: it is cancelled, that is all one wants.
    cancelled = isinstance(change, Cancel) and row.state is OrderState.CANCELLED
    with postgres():
        if cancelled:
            found = await changes.on_record(backends.pool, order_id, change)
        else:
            reason = reason or changes.too_late(row.state, change)
            found = await changes.refuse(backends.pool, order_id, change, reason=reason)
    if found is not None and found.verdict is changes.Verdict.OTHER:
        raise errors.other_change()
    if cancelled or found is None or found.verdict is changes.Verdict.APPLIED:
        return _applied(order_id, change, row.state)
    raise errors.conflict(found.reason)


def _applied(order_id: str, change: Change, state: OrderState) -> ChangeView:
    return ChangeView(order_id, change.change_id or "", APPLIED, state)


# --- Tell --------------------------------------------------------------------------------------


async def find(backends: Backends, order_id: str) -> OrderRow:
    """Return the order's row.

    Raises:
        ProblemDetailsException: there is none, or Postgres is away.
    """
    async with backends.bulkheads.reads:
        with postgres():
            row = await queries.find_order(backends.pool, order_id)
    if row is None:
        raise errors.not_found(order_id)
    return row


async def show(backends: Backends, order_id: str) -> OrderView:
    """Return the order's row, payments and audit trail."""
    async with backends.bulkheads.reads:
        with postgres():
            record = await queries.find_record(backends.pool, order_id)
    if record is None:
        raise errors.not_found(order_id)
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
    live = await handle.query(contract.STATUS_QUERY, result_type=Status)
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
        at = contract.shipping_id(live.order_id, live.shipping_attempts)
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
            row = await queries.find_order(backends.pool, order_id)
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
        raise errors.not_found(order_id)
    return description.start_time
