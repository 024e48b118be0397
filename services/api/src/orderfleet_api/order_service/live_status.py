"""The status of an order: from its workflow, or from the record if no worker answers."""

from datetime import UTC, datetime, timedelta

import msgspec
from litestar.plugins.problem_details import ProblemDetailsException
from temporalio.client import WorkflowExecutionDescription, WorkflowQueryFailedError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError

from orderfleet.domain import contract
from orderfleet.domain.contract import Status, StepName, StepStatus
from orderfleet.domain.orders import Address, OrderState
from orderfleet.temporal.decoding import decode_message
from orderfleet.temporal.failure_converter import PayloadKeyError
from orderfleet_api import errors
from orderfleet_api.backends import Backends
from orderfleet_api.order_service import records, workflow_lookup
from orderfleet_api.schemas import StatusView

# No answer, or one of a workflow of another build that cannot be read: the SDK raises KeyError for
# an unknown encoding, the converter ApplicationError for a value that does not fit.
_NO_LIVE_STATUS = (
    TimeoutError,
    RPCError,
    WorkflowQueryFailedError,
    ApplicationError,
    KeyError,
    PayloadKeyError,
    ProblemDetailsException,
)


async def status(backends: Backends, order_id: str) -> StatusView:
    """Return the workflow's own status; if no worker answers in time, what is on record.

    Raises:
        ProblemDetailsException: there is no such order, or Postgres is busy or unavailable.
    """
    try:
        live = await backends.call_worker(
            _query(backends, order_id), timeout=backends.settings.query_wait_seconds
        )
    except _NO_LIVE_STATUS:
        live = None
    if live is None:
        return await _recorded(backends, order_id)
    return StatusView(**msgspec.structs.asdict(live), source="workflow")


async def _query(backends: Backends, order_id: str) -> Status | None:
    description = await workflow_lookup.describe(backends, order_id)
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
    backends: Backends, live: Status, description: WorkflowExecutionDescription
) -> None:
    """Add the attempts of the running step, which a workflow learns of only at the step's end."""
    if live.step == StepName.SHIP:
        child_id = contract.shipping_id(live.order_id, live.shipping_attempts)
        child = backends.temporal.get_workflow_handle(child_id)
        try:
            description = await backends.call_temporal(child.describe())
        except (RPCError, ProblemDetailsException):
            return
    for pending in description.raw_description.pending_activities:
        step = live.steps.setdefault(pending.activity_type.name, StepStatus())
        step.attempts += pending.attempt
        if pending.HasField("last_failure"):
            decode_message(backends.temporal.data_converter, pending.last_failure)
            step.last_error = pending.last_failure.message


async def _recorded(backends: Backends, order_id: str) -> StatusView:
    row = await records.find_or_none(backends, order_id)
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
        ProblemDetailsException: Temporal has no such order either, or is busy or unavailable.
    """
    description = await workflow_lookup.describe(backends, order_id)
    if description is None:
        raise errors.not_found(order_id)
    return description.start_time
