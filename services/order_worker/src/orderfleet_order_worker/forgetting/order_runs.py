"""The runs of an order's workflows that Temporal has, and their deletion.

Temporal's visibility store lists all runs of an id, also those that a reset or a second start has
left behind, but it learns of them late. So the last run of each id is asked for by the id, too.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from msgspec import Struct
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import WorkflowExecutionStatus
from temporalio.api.workflow.v1 import WorkflowExecutionInfo
from temporalio.api.workflowservice.v1 import (
    DeleteWorkflowExecutionRequest,
    DescribeWorkflowExecutionRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError

from orderfleet.domain.contract import (
    ORDER_WORKFLOW,
    REFUND_WORKFLOW,
    SHIPPING_WORKFLOW,
    refund_id,
    shipping_id,
)
from orderfleet.domain.policies import SHIPPING_ATTEMPTS
from orderfleet.temporal.client import is_absent
from orderfleet.temporal.visibility import list_executions, quoted

_TYPES: Final = (ORDER_WORKFLOW, SHIPPING_WORKFLOW, REFUND_WORKFLOW)


class Run(Struct, frozen=True):
    """A run of a workflow."""

    workflow_id: str
    run_id: str
    running: bool


async def runs_of(client: Client, order_id: str, task_queues: frozenset[str]) -> list[Run]:
    """Return the runs of an order's workflows on these queues: those of another fleet stay.

    Raises:
        RPCError: Temporal is unavailable.
    """
    attempts = range(1, SHIPPING_ATTEMPTS + 1)
    ids = [order_id, refund_id(order_id), *(shipping_id(order_id, number) for number in attempts)]
    latest = [WorkflowExecution(workflow_id=workflow_id) for workflow_id in ids]
    described = await _describe(client, latest)
    known = {info.execution.run_id for info in described}
    described += await _describe(
        client, [listed for listed in await _list(client, order_id) if listed.run_id not in known]
    )
    return [
        Run(
            info.execution.workflow_id,
            info.execution.run_id,
            running=info.status == WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_RUNNING,
        )
        for info in described
        if info.type.name in _TYPES and info.task_queue in task_queues
    ]


async def delete_run(client: Client, run: Run) -> None:
    """Ask Temporal to delete a closed run, which it does a moment later.

    Raises:
        RPCError: Temporal is unavailable, or this client may not delete.
    """
    execution = WorkflowExecution(workflow_id=run.workflow_id, run_id=run.run_id)
    request = DeleteWorkflowExecutionRequest(
        namespace=client.namespace, workflow_execution=execution
    )
    try:
        await client.workflow_service.delete_workflow_execution(request, retry=True)
    except RPCError as error:
        if not is_absent(error):
            raise


async def _describe(
    client: Client, executions: Sequence[WorkflowExecution]
) -> list[WorkflowExecutionInfo]:
    """Return what Temporal has of these runs; without a run id it is the last one."""

    async def describe(execution: WorkflowExecution) -> WorkflowExecutionInfo | None:
        request = DescribeWorkflowExecutionRequest(namespace=client.namespace, execution=execution)
        try:
            answer = await client.workflow_service.describe_workflow_execution(request, retry=True)
        except RPCError as error:
            if is_absent(error):
                return None
            raise
        return answer.workflow_execution_info

    described = await asyncio.gather(*map(describe, executions))
    return [info for info in described if info is not None]


async def _list(client: Client, order_id: str) -> list[WorkflowExecution]:
    """Return the runs of an order's ids that Temporal lists, some of which may be gone."""
    query = f"WorkflowId = {quoted(order_id)} OR WorkflowId STARTS_WITH {quoted(order_id + '/')}"
    return [
        info.execution
        async for page in list_executions(client, query)
        for info in page
        if info.type.name in _TYPES
    ]
