"""Workflows that are pinned to a build which nobody runs any more.

A worker that is killed leaves them behind. Another worker of its build goes on with them; where the
worker is started again with changed code, there is none.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

import structlog
from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.enums.v1 import PendingActivityState, PendingWorkflowTaskState
from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionResponse
from temporalio.client import Client
from temporalio.service import RPCError

from orderfleet.temporal.client import is_absent
from orderfleet.temporal.visibility import quoted
from orderfleet.versions.deployments import TIMEOUT, Version
from orderfleet.versions.override import unpin

log = structlog.stdlib.get_logger(__name__)

# A worker that lives takes a task within milliseconds, a busy one within a second or two.
_UNTAKEN: Final = timedelta(seconds=3)
_MOST: Final = 100
_TASK_WAITS: Final = PendingWorkflowTaskState.PENDING_WORKFLOW_TASK_STATE_SCHEDULED
_ACTIVITY_WAITS: Final = PendingActivityState.PENDING_ACTIVITY_STATE_SCHEDULED


async def free_stranded(client: Client, task_queue: str, current: Version) -> None:
    """Let the current version go on with the workflows of other builds whose tasks nobody takes.

    It replays their histories: where it has other commands, their tasks fail until they time out,
    as without versioning.

    Raises:
        RPCError: Temporal does not answer.
    """
    query = (
        f"TaskQueue = {quoted(task_queue)} AND ExecutionStatus = 'Running'"
        " AND TemporalWorkflowVersioningBehavior = 'Pinned'"
        f" AND TemporalWorkerDeploymentVersion != '{current}'"
    )
    async for execution in client.list_workflows(query, limit=_MOST, rpc_timeout=TIMEOUT):
        handle = client.get_workflow_handle(execution.id, run_id=execution.run_id)
        try:
            if _waits((await handle.describe(rpc_timeout=TIMEOUT)).raw_description):
                await unpin(client, execution.id)
                log.warning(
                    "moved to the current build, as nobody runs its own", workflow_id=execution.id
                )
        except RPCError as error:
            # It has ended meanwhile.
            if not is_absent(error):
                raise


def _waits(described: DescribeWorkflowExecutionResponse) -> bool:
    """Return whether a task of the workflow has been waiting for a worker."""
    task = described.pending_workflow_task
    waiting = [task.scheduled_time] if task.state == _TASK_WAITS else []
    waiting += [
        activity.scheduled_time
        for activity in described.pending_activities
        if activity.state == _ACTIVITY_WAITS
    ]
    return any(map(_is_old, waiting))


def _is_old(scheduled: Timestamp) -> bool:
    return datetime.now(UTC) - scheduled.ToDatetime(UTC) > _UNTAKEN
