"""Pollers, backlog and routing of a task queue."""

from datetime import UTC, datetime, timedelta
from typing import Final

from temporalio.api.enums.v1 import TaskQueueType, WorkerVersioningMode
from temporalio.api.taskqueue.v1 import PollerInfo, TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest, DescribeTaskQueueResponse
from temporalio.client import Client

TYPES: Final = {
    "workflow": TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
    "activity": TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
}
# A worker without tasks polls once a minute: one that has not for longer than this is taken for
# gone where a decision hangs on it.
POLL_LASTS: Final = timedelta(seconds=70)
# The same for those who only look; a worker that is slow or cut off for a moment still counts.
_SEEN: Final = timedelta(seconds=90)
_VERSIONED: Final = WorkerVersioningMode.WORKER_VERSIONING_MODE_VERSIONED
_ALL: Final = 100


async def describe_task_queue(
    client: Client, queue: str, type_: str, *, timeout: timedelta | None = None
) -> DescribeTaskQueueResponse:
    """Return pollers, backlog and routing of a queue's tasks of one of the `TYPES`.

    Pollers and backlog are those of all versions; the backlog is up to 5 s old.

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


def count_pollers(queue: DescribeTaskQueueResponse, build: str | None = None) -> int:
    """Count the workers that polled within the last 90 s: all, or those of a build.

    An empty build stands for the workers without versioning.
    """
    pollers = pollers_since(queue, datetime.now(UTC) - _SEEN)
    return sum(build is None or build_of(poller) == build for poller in pollers)


def pollers_since(queue: DescribeTaskQueueResponse, since: datetime) -> list[PollerInfo]:
    """Return the workers that polled at this time or later.

    Temporal keeps a worker that left without a farewell for 5 minutes, and a worker that waits in a
    poll was last seen when the poll began.
    """
    return [poller for poller in queue.pollers if poller.last_access_time.ToDatetime(UTC) >= since]


def build_of(poller: PollerInfo) -> str:
    """Return the build of a worker; empty if the worker is unversioned."""
    options = poller.deployment_options
    return options.build_id if options.worker_versioning_mode == _VERSIONED else ""


def serving_build(queue: DescribeTaskQueueResponse) -> str:
    """Return the build to which new orders go, but for a ramp's share; empty: unversioned workers.

    Only that build's workers take a new order, whoever else polls.
    """
    routing = queue.versioning_info
    if routing.ramping_version_percentage == _ALL:
        return routing.ramping_deployment_version.build_id
    return routing.current_deployment_version.build_id
