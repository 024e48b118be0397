"""What Temporal tells of the workflows of a run."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from statistics import fmean

from msgspec import Struct
from temporalio.api.enums.v1 import EventType, TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client, WorkflowExecution, WorkflowExecutionStatus
from temporalio.service import RPCError

from tests.bench.subjects.subject import DEADLINE_SECONDS, End


class Work(Struct, frozen=True):
    """What an order makes the server do, its children's included: means of a sample."""

    history_events: float
    workflow_tasks: float
    state_transitions: float


async def polled(client: Client, task_queue: str) -> bool:
    """Tell whether a worker has polled both halves of a task queue in the last seconds."""
    since = datetime.now(UTC) - timedelta(seconds=2)
    for kind in (
        TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
        TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
    ):
        request = DescribeTaskQueueRequest(
            namespace=client.namespace,
            task_queue=TaskQueue(name=task_queue),
            task_queue_type=kind,
        )
        try:
            answer = await client.workflow_service.describe_task_queue(request)
        except RPCError:
            return False
        if not any(one.last_access_time.ToDatetime(UTC) > since for one in answer.pollers):
            return False
    return True


async def missed(client: Client, workflow: str, prefix: str) -> int:
    """Return how many were not completed in time: they failed, timed out, or are too old."""
    late = datetime.now(UTC) - timedelta(seconds=DEADLINE_SECONDS)
    found = await client.count_workflows(
        f"{_of(workflow, prefix)} AND (ExecutionStatus NOT IN ('Running', 'Completed')"
        f" OR (ExecutionStatus = 'Running' AND StartTime < '{late.isoformat()}'))"
    )
    return found.count


async def ends(client: Client, workflow: str, prefix: str) -> dict[str, End]:
    return {
        one.id: End(one.close_time.timestamp(), one.status is WorkflowExecutionStatus.COMPLETED)
        async for one in client.list_workflows(_of(workflow, prefix), page_size=1000)
        if one.close_time is not None
    }


async def work_of(client: Client, order_ids: Sequence[str]) -> Work:
    """Return what these orders, all ended, made the server do."""
    events, tasks, transitions = [], [], []
    for order_id in order_ids:
        runs = [one async for one in client.list_workflows(f"WorkflowId STARTS_WITH '{order_id}'")]
        own = [one for one in runs if one.id == order_id or one.id.startswith(f"{order_id}/")]
        histories = [await _events(client, one) for one in own]
        events.append(sum(one.total() for one in histories))
        tasks.append(sum(one[EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED] for one in histories))
        transitions.append(sum(one.raw_info.state_transition_count for one in own))
    return Work(fmean(events), fmean(tasks), fmean(transitions))


async def _events(client: Client, run: WorkflowExecution) -> Counter[int]:
    handle = client.get_workflow_handle(run.id, run_id=run.run_id)
    return Counter([event.event_type async for event in handle.fetch_history_events()])


def _of(workflow: str, prefix: str) -> str:
    return f"WorkflowType = '{workflow}' AND WorkflowId STARTS_WITH '{prefix}-'"
