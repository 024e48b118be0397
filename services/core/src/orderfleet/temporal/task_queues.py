"""Pollers and backlog of a task queue, for `orderfleet doctor` and the API's metrics."""

from datetime import UTC, datetime, timedelta
from typing import Final

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest, DescribeTaskQueueResponse
from temporalio.client import Client

TYPES: Final = {
    "workflow": TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
    "activity": TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
}
# A poll lasts a minute, and Temporal remembers pollers for five minutes: a poller not seen for
# longer than this is gone.
_SEEN: Final = timedelta(seconds=90)


async def describe_task_queue(
    client: Client, queue: str, type_: str, *, timeout: timedelta | None = None
) -> DescribeTaskQueueResponse:
    """Return pollers and backlog of a queue's tasks of one of the `TYPES`.

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


def count_pollers(queue: DescribeTaskQueueResponse) -> int:
    """Count the workers that poll: those seen within the last 90 s."""
    now = datetime.now(UTC)
    return sum(now - poller.last_access_time.ToDatetime(UTC) < _SEEN for poller in queue.pollers)
