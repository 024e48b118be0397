"""Backlog and routing of a task queue; its workers: `queue_workers`."""

from datetime import timedelta
from typing import Final

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest, DescribeTaskQueueResponse
from temporalio.client import Client

TYPES: Final = {
    "workflow": TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
    "activity": TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
}
_ALL: Final = 100


async def describe_task_queue(
    client: Client, queue: str, type_: str, *, timeout: timedelta | None = None
) -> DescribeTaskQueueResponse:
    """Return pollers, backlog and routing of a queue's tasks of one of the `TYPES`.

    Pollers and backlog are those of all versions; the backlog is up to 5 s old. The pollers are not
    all of them: see `list_queue_workers`.

    Raises:
        RPCError: the call failed.
    """
    request = DescribeTaskQueueRequest(
        namespace=client.namespace,
        task_queue=TaskQueue(name=queue),
        task_queue_type=TYPES[type_],
        report_stats=True,
    )
    return await client.workflow_service.describe_task_queue(request, timeout=timeout)


def serving_build(queue: DescribeTaskQueueResponse) -> str:
    """Return the build to which new orders go, but for a ramp's share; empty: unversioned workers.

    Only that build's workers take a new order, whoever else polls.
    """
    routing = queue.versioning_info
    if routing.ramping_version_percentage == _ALL:
        return routing.ramping_deployment_version.build_id
    return routing.current_deployment_version.build_id
