"""The order's workflow, if it is one: a namespace has others, and their ids may be anything."""

from typing import Any, Final

from temporalio.client import WorkflowExecutionDescription, WorkflowHandle
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError

from orderfleet.domain import contract
from orderfleet_api.backends import Backends
from orderfleet_api.order_service import records

_FINGERPRINT: Final = "fingerprint"


async def describe(backends: Backends, order_id: str) -> WorkflowExecutionDescription | None:
    """Return Temporal's description of the order's workflow, None if this fleet has no such order.

    Raises:
        ProblemDetailsException: Temporal is busy or unavailable.
    """
    handle = backends.temporal.get_workflow_handle(order_id)
    try:
        description = await backends.call_temporal(handle.describe())
    except RPCError:
        return None
    if description.workflow_type != contract.ORDER_WORKFLOW:
        return None
    if description.task_queue != backends.settings.order_task_queue:
        # Another fleet's, or this fleet's from before its queue was renamed: then there is a row.
        row = await records.find_or_none(backends, order_id)
        if row is None:
            return None
    return description


async def find(backends: Backends, order_id: str) -> WorkflowHandle[Any, Any] | None:
    """Return a handle of the order's workflow, bound to its run: no later one of the same id.

    Raises:
        ProblemDetailsException: Temporal is busy or unavailable.
    """
    description = await describe(backends, order_id)
    if description is None:
        return None
    return backends.temporal.get_workflow_handle(order_id, run_id=description.run_id)


def memo(fingerprint: str) -> dict[str, Any]:
    """Return the memo of an order's workflow, which tells orders of the same id apart."""
    return {_FINGERPRINT: fingerprint}


async def fingerprint(backends: Backends, order_id: str) -> str | None:
    """Return the fingerprint of the order with this id, None if it has no valid one."""
    description = await describe(backends, order_id)
    if description is None:
        return None
    try:
        return await description.memo_value(_FINGERPRINT, None, type_hint=str)
    except (ApplicationError, KeyError):
        # A workflow that was started by hand may have anything there.
        return None
