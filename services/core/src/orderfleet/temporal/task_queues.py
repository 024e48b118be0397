"""What Temporal tells of a task queue, to `orderfleet doctor` and to the API's metrics."""

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
# A poll lasts a minute, and Temporal remembers who asked for five: who was not seen for longer
# than this is gone.
_SEEN: Final = timedelta(seconds=90)


async def describe_task_queue(
    client: Client, queue: str, type_: str, *, within: timedelta | None = None
) -> DescribeTaskQueueResponse:
    """Return pollers and backlog of a queue's tasks of one of the `TYPES`.

    Raises:
        RPCError: Temporal would not tell.
    """
    request = DescribeTaskQueueRequest(
        namespace=client.namespace,
        task_queue=TaskQueue(name=queue),
        task_queue_type=TYPES[type_],
        report_stats=True,
    )
    return await client.workflow_service.describe_task_queue(request, timeout=within)


def count_pollers(told: DescribeTaskQueueResponse) -> int:
    """Count the workers that poll: those seen within the last 90 s."""
    now = datetime.now(UTC)
    return sum(now - one.last_access_time.ToDatetime(UTC) < _SEEN for one in told.pollers)
