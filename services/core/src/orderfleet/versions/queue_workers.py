"""Which workers poll a task queue now, and where its new orders go."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from temporalio.api.enums.v1 import WorkerStatus
from temporalio.api.worker.v1 import WorkerListInfo
from temporalio.api.workflowservice.v1 import ListWorkersRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from orderfleet.temporal.task_queues import (
    POLL_LASTS,
    build_of,
    describe_task_queue,
    pollers_since,
    serving_build,
)
from orderfleet.temporal.visibility import quoted
from orderfleet.versions.deployments import TIMEOUT

_RUNNING: Final = WorkerStatus.WORKER_STATUS_RUNNING
# Servers that do not list workers, or do not understand the name of the queue in a query.
_NO_LIST: Final = frozenset(
    {
        RPCStatusCode.UNIMPLEMENTED,
        RPCStatusCode.PERMISSION_DENIED,
        RPCStatusCode.INVALID_ARGUMENT,
    }
)


@dataclass(frozen=True)
class QueueWorker:
    """A worker that polls."""

    identity: str
    # Empty without versioning.
    build: str


@dataclass(frozen=True)
class QueueWorkers:
    """The workers of a task queue, and the builds to which its new orders go."""

    # Empty: workers without versioning.
    current: str
    # The build to which a share of them goes; empty if none.
    ramping: str
    workers: tuple[QueueWorker, ...]

    def of(self, build: str) -> list[QueueWorker]:
        """Return the workers of a build; of an empty one, those without versioning."""
        return [worker for worker in self.workers if worker.build == build]


async def list_queue_workers(client: Client, task_queue: str) -> QueueWorkers:
    """Return who polls and who takes new orders. Takes 4 ms.

    Temporal lists the pollers of the last 5 minutes, those that have left included. Those that said
    goodbye are left out: the workers' heartbeats tell. A killed worker counts for 70 s.

    Raises:
        RPCError: a call failed.
    """
    queue, listed = await asyncio.gather(
        describe_task_queue(client, task_queue, "workflow", timeout=TIMEOUT),
        _list_workers(client, task_queue),
    )
    running = {worker.worker_identity for worker in listed if worker.status == _RUNNING}
    left = {worker.worker_identity for worker in listed} - running
    return QueueWorkers(
        serving_build(queue),
        queue.versioning_info.ramping_deployment_version.build_id,
        tuple(
            QueueWorker(poller.identity, build_of(poller))
            for poller in pollers_since(queue, datetime.now(UTC) - POLL_LASTS)
            if poller.identity not in left
        ),
    )


async def _list_workers(client: Client, task_queue: str) -> list[WorkerListInfo]:
    """Return the queue's workers by their heartbeats; none if the server does not list them.

    A worker is listed from its first heartbeat on, a minute after its start, or from its shutdown.
    """
    request = ListWorkersRequest(
        namespace=client.namespace, query=f"TaskQueue = {quoted(task_queue)}", page_size=1000
    )
    try:
        answer = await client.workflow_service.list_workers(request, timeout=TIMEOUT)
    except RPCError as error:
        if error.status in _NO_LIST:
            return []
        raise
    return list(answer.workers)
