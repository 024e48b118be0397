"""Changes of an order: sent as an update, left as a signal if no worker answers."""

from http import HTTPStatus
from typing import Any, Final
from uuid import uuid4

import msgspec
import structlog
from temporalio.client import WorkflowHandle, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from orderfleet.domain import contract
from orderfleet.domain.contract import AddressChange, Cancel, Change, ChangeResult, Review
from orderfleet.domain.events import too_late
from orderfleet.domain.orders import Address, OrderState
from orderfleet.store import change_requests, changes
from orderfleet.temporal.encryption import keys_of
from orderfleet_api import errors
from orderfleet_api.backends import Backends, postgres
from orderfleet_api.bulkheads import BulkheadFullError
from orderfleet_api.order_service import records, workflow_lookup
from orderfleet_api.schemas import APPLIED, QUEUED, ChangeView

log = structlog.stdlib.get_logger(__name__)

# The server's own failure of an update whose workflow closed before it was done.
_WORKFLOW_CLOSED: Final = "AcceptedUpdateCompletedWorkflow"
# Failures of an update that a new try would meet again.
_FINAL: Final = {
    contract.TOO_LATE,
    contract.OTHER_CHANGE,
    contract.TOO_MANY_CHANGES,
    contract.INVALID_PAYLOAD,
    _WORKFLOW_CLOSED,
}
# The server's bounds of one workflow: 10 updates at once, 2,000 in all. Signals have their own.
_NO_MORE_UPDATES: Final = {RPCStatusCode.RESOURCE_EXHAUSTED, RPCStatusCode.FAILED_PRECONDITION}


async def cancel(
    backends: Backends, order_id: str, change_id: str, reason: str, *, actor: str = ""
) -> ChangeView:
    """Cancel the order."""
    change = Cancel(change_id=change_id, reason=reason, actor=actor)
    return await _deliver(
        backends, order_id, change, contract.CANCEL_UPDATE, contract.CANCEL_SIGNAL
    )


async def update_address(
    backends: Backends, order_id: str, change_id: str, address: Address, *, actor: str = ""
) -> ChangeView:
    """Change the address."""
    change = AddressChange(address, change_id=change_id, actor=actor)
    return await _deliver(
        backends, order_id, change, contract.ADDRESS_UPDATE, contract.ADDRESS_SIGNAL
    )


async def review(
    backends: Backends, order_id: str, change_id: str, decision: Review, *, actor: str = ""
) -> ChangeView:
    """Decide the review. It has no signal, so without a worker the answer is 503."""
    change = msgspec.structs.replace(decision, change_id=change_id, actor=actor)
    return await _deliver(backends, order_id, change, contract.REVIEW_UPDATE)


async def _deliver(
    backends: Backends, order_id: str, change: Change, update: str, signal: str | None = None
) -> ChangeView:
    handle = await workflow_lookup.find(backends, order_id)
    if handle is None:
        return await _refused(backends, order_id, change, None)
    try:
        result = await backends.call_worker(
            _update(backends, handle, update, change), timeout=backends.settings.change_wait_seconds
        )
    except WorkflowUpdateFailedError as error:
        return await _refused(backends, order_id, change, _too_late(error))
    except RPCError:
        return await _refused(backends, order_id, change, None)
    except TimeoutError:
        result = None
    except BulkheadFullError:
        # Workers are too slow for so many calls, which is no better than none.
        if signal is None:
            raise
        result = None
    if result is not None:
        return _applied(order_id, change, result.state)
    if signal is None:
        raise errors.unavailable("No worker answered in time.")
    return await _queue(backends, order_id, change, handle, signal)


async def _queue(
    backends: Backends,
    order_id: str,
    change: Change,
    handle: WorkflowHandle[Any, Any],
    signal: str,
) -> ChangeView:
    with postgres():
        # First: if no worker ever takes the signal up, ReconcileOrders answers the change by this.
        same = await change_requests.ask(backends.pool, order_id, change)
    if not same:
        raise errors.other_change()
    try:
        await backends.call_temporal(handle.signal(signal, change))
    except RPCError:
        return await _refused(backends, order_id, change, None)
    return ChangeView(order_id, change.change_id or "", QUEUED)


async def _update(
    backends: Backends, handle: WorkflowHandle[Any, Any], update: str, change: Change
) -> ChangeResult | None:
    """Return the update's result; None if the order takes no more updates, only signals.

    Temporal answers an update by its id alone, and repeats a failure for ever. So the id names the
    caller and all of the change, by a digest with the payload key, as Temporal stores ids in clear.
    Under another key a repeat has another id, and the workflow recognizes it. A failure that a
    retry may mend is tried once more under a new id, as it may be that of an earlier request.
    """
    digest = keys_of(backends.temporal).digest(msgspec.json.encode(change))
    name = f"{update}/{change.change_id}/{digest}"
    ids = (name, f"{name}/{uuid4()}")
    for update_id in ids:
        try:
            result: ChangeResult = await handle.execute_update(
                update, change, id=update_id, result_type=ChangeResult
            )
        except WorkflowUpdateFailedError as error:
            if _failure_type(error) in _FINAL or update_id == ids[-1]:
                raise
        except RPCError as error:
            if error.status not in _NO_MORE_UPDATES:
                raise
            break
        else:
            return result
    return None


def _failure_type(error: WorkflowUpdateFailedError) -> str | None:
    return error.cause.type if isinstance(error.cause, ApplicationError) else None


def _too_late(error: WorkflowUpdateFailedError) -> str | None:
    """Return why the change was too late; None if the workflow closed under it.

    Raises:
        ProblemDetailsException: the update failed for another reason.
    """
    failure_type = _failure_type(error)
    if failure_type == _WORKFLOW_CLOSED:
        return None
    message = error.cause.message if isinstance(error.cause, ApplicationError) else ""
    match failure_type:
        case contract.TOO_LATE:
            return message
        case contract.OTHER_CHANGE:
            raise errors.other_change()
        case contract.TOO_MANY_CHANGES:
            raise errors.conflict(message)
        case contract.INVALID_PAYLOAD:
            raise errors.problem(HTTPStatus.UNPROCESSABLE_ENTITY, message)
    log.warning("update failed", error=str(error.cause))
    raise errors.unavailable("The change could not be applied. Try again.")


async def _refused(
    backends: Backends, order_id: str, change: Change, reason: str | None
) -> ChangeView:
    """Answer a change that came too late; a repeat of an applied one is still a success."""
    row = await records.find(backends, order_id)
    # Whichever request did it, the order is cancelled, which is all that the caller wants.
    cancelled = isinstance(change, Cancel) and row.state is OrderState.CANCELLED
    with postgres():
        if cancelled:
            record = await changes.on_record(backends.pool, order_id, change)
        else:
            reason = reason or too_late(row.state, change)
            record = await changes.refuse(backends.pool, order_id, change, reason=reason)
    if record is not None and record.verdict is changes.Verdict.OTHER:
        raise errors.other_change()
    if cancelled or record is None or record.verdict is changes.Verdict.APPLIED:
        return _applied(order_id, change, row.state)
    raise errors.conflict(record.reason)


def _applied(order_id: str, change: Change, state: OrderState) -> ChangeView:
    return ChangeView(order_id, change.change_id or "", APPLIED, state)
