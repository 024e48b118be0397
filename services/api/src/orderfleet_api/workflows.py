"""The order's workflow, if it is one: a namespace has others, and their ids may be anything."""

from typing import Any

from temporalio.client import WorkflowExecutionDescription, WorkflowHandle
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError

from orderfleet.domain import contract
from orderfleet.store import queries
from orderfleet_api.backends import Backends, postgres

_FINGERPRINT = "fingerprint"


async def describe(backends: Backends, order_id: str) -> WorkflowExecutionDescription | None:
    """Return what Temporal says of the order's workflow; None if this fleet has none of this id.

    Raises:
        ProblemDetailsException: Temporal is busy or away.
    """
    handle = backends.temporal.get_workflow_handle(order_id)
    try:
        description = await backends.ask(handle.describe())
    except RPCError:
        return None
    if description.workflow_type != contract.ORDER_WORKFLOW:
        return None
    if description.task_queue != backends.settings.order_task_queue:
        # Another fleet's, or the queue was changed and this one began on the old one.
        async with backends.bulkheads.reads:
            with postgres():
                row = await queries.find_order(backends.pool, order_id)
        if row is None:
            return None
    return description


async def find(backends: Backends, order_id: str) -> WorkflowHandle[Any, Any] | None:
    """Return the order's workflow to act on, and on no later one of its id.

    Raises:
        ProblemDetailsException: Temporal is busy or away.
    """
    description = await describe(backends, order_id)
    if description is None:
        return None
    return backends.temporal.get_workflow_handle(order_id, run_id=description.run_id)


def memo(fingerprint: str) -> dict[str, Any]:
    """Return what an order's workflow is started with, to tell it from another of its id."""
    return {_FINGERPRINT: fingerprint}


async def fingerprint(backends: Backends, order_id: str) -> str | None:
    """Return the fingerprint of the order that has this id; None if it has none that is ours."""
    description = await describe(backends, order_id)
    if description is None:
        return None
    try:
        return await description.memo_value(_FINGERPRINT, None, type_hint=str)
    except (ApplicationError, KeyError):
        # Whoever starts it by hand may write anything there.
        return None
