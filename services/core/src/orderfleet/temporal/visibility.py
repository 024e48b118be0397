"""Queries of Temporal's visibility store."""

from collections.abc import AsyncIterator, Sequence
from typing import Final

from temporalio.api.workflow.v1 import WorkflowExecutionInfo
from temporalio.api.workflowservice.v1 import ListWorkflowExecutionsRequest
from temporalio.client import Client

_PAGE: Final = 1000


def of_queue(workflow_type: str, task_queue: str) -> str:
    """Return the query for a task queue's workflows of a type."""
    return f"WorkflowType = '{workflow_type}' AND TaskQueue = {quoted(task_queue)}"


def quoted(text: str) -> str:
    """Return a text as a literal of a query."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


async def list_executions(
    client: Client, query: str
) -> AsyncIterator[Sequence[WorkflowExecutionInfo]]:
    """Yield all workflows that match a query, page by page.

    No payload is decoded: those of other clients in the namespace may be anything.

    Raises:
        RPCError: Temporal does not answer.
    """
    token = b""
    while True:
        request = ListWorkflowExecutionsRequest(
            namespace=client.namespace, page_size=_PAGE, next_page_token=token, query=query
        )
        page = await client.workflow_service.list_workflow_executions(request, retry=True)
        yield page.executions
        token = page.next_page_token
        if not token:
            return
