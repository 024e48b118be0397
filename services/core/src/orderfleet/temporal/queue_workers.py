"""Which workers poll a task queue now, and where its new orders go."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.deployment.v1 import WorkerDeploymentOptions, WorkerDeploymentVersion
from temporalio.api.enums.v1 import WorkerStatus, WorkerVersioningMode
from temporalio.api.taskqueue.v1 import PollerInfo
from temporalio.api.worker.v1 import WorkerHeartbeat
from temporalio.api.workflowservice.v1 import DescribeTaskQueueResponse, ListWorkersRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from orderfleet.temporal.task_queues import describe_task_queue, serving_build
from orderfleet.temporal.visibility import quoted

# A worker without tasks polls once a minute.
_POLLED: Final = timedelta(seconds=90)
# Heartbeats come every second (`WORKER_HEARTBEATS`), from a thread of their own.
HEARD: Final = timedelta(seconds=10)
# A process that is killed leaves a heartbeat a second older than its last poll; and the clock of a
# worker, which dates its heartbeats, differs from the server's, which dates its polls.
_SAME_PROCESS: Final = timedelta(seconds=2)
_INTERVALS: Final = 3
RUNNING: Final = WorkerStatus.WORKER_STATUS_RUNNING
_VERSIONED: Final = WorkerVersioningMode.WORKER_VERSIONING_MODE_VERSIONED
# Servers that do not list workers, or do not understand the name of the queue in a query.
_NO_LIST: Final = frozenset(
    {
        RPCStatusCode.UNIMPLEMENTED,
        RPCStatusCode.PERMISSION_DENIED,
        RPCStatusCode.INVALID_ARGUMENT,
    }
)


@dataclass(frozen=True, order=True)
class QueueWorker:
    """A worker that polls."""

    identity: str
    # Both empty without versioning.
    deployment: str
    build: str


@dataclass(frozen=True)
class QueueWorkers:
    """A task queue as Temporal describes it, and its workers."""

    queue: DescribeTaskQueueResponse
    workers: tuple[QueueWorker, ...]

    @property
    def current(self) -> str:
        """The build to which new orders go, but for a ramp's share; empty: no versioning."""
        return serving_build(self.queue)

    @property
    def ramping(self) -> str:
        """The build to which a share of them goes; empty if none."""
        return self.queue.versioning_info.ramping_deployment_version.build_id

    def of(self, build: str) -> list[QueueWorker]:
        """Return the workers of a build; of an empty one, those without versioning."""
        return [worker for worker in self.workers if worker.build == build]


async def list_queue_workers(
    client: Client,
    task_queue: str,
    type_: str = "workflow",
    *,
    lately: bool = False,
    rpc_timeout: timedelta | None = None,
) -> QueueWorkers:
    """Return a queue's workers for tasks of one of the `TYPES`. Takes 4 ms.

    Temporal describes the pollers of one of the queue's four partitions: a worker whose polls went
    to the others may be missing there for minutes, one that has left stays for five. So the
    workers' heartbeats decide, where there are any: from a second after a worker's start.

    Args:
        client: of Temporal.
        task_queue: its name.
        type_: of the tasks.
        lately: whether those count, too, that said goodbye or fell silent within the last 90 s.
            Otherwise a worker is gone after 10 s without a heartbeat; one of an older release,
            which sends one a minute, after three minutes.
        rpc_timeout: of each of the two calls.

    Raises:
        RPCError: a call failed.
    """
    queue, heartbeats = await asyncio.gather(
        describe_task_queue(client, task_queue, type_, timeout=rpc_timeout),
        list_heartbeats(client, task_queue, rpc_timeout),
    )
    beating = _beating(heartbeats, type_, lately=lately)
    polling = _polling(queue.pollers, {} if lately else _last_heartbeats(heartbeats))
    return QueueWorkers(queue, tuple(sorted(beating | polling)))


def _beating(
    heartbeats: Iterable[WorkerHeartbeat], type_: str, *, lately: bool
) -> set[QueueWorker]:
    now, lasts = datetime.now(UTC), _POLLED if lately else HEARD
    return {
        worker_of(heartbeat.worker_identity, heartbeat.deployment_version)
        for heartbeat in heartbeats
        if (lately or heartbeat.status == RUNNING)
        and _polls(heartbeat, type_)
        and is_heard(heartbeat, now, lasts)
    }


def _polls(heartbeat: WorkerHeartbeat, type_: str) -> bool:
    workflow = type_ == "workflow"
    pollers = heartbeat.workflow_poller_info if workflow else heartbeat.activity_poller_info
    return pollers.current_pollers > 0


def _interval(heartbeat: WorkerHeartbeat) -> timedelta:
    """Return the time since the heartbeat before. After the first one it may be a minute."""
    if not heartbeat.HasField("elapsed_since_last_heartbeat"):
        return _POLLED / _INTERVALS
    return heartbeat.elapsed_since_last_heartbeat.ToTimedelta()


def _last_heartbeats(heartbeats: Iterable[WorkerHeartbeat]) -> dict[str, datetime]:
    """Return the last heartbeat of each identity. A worker that restarts may keep its own."""
    times = ((beat.worker_identity, _time(beat.heartbeat_time)) for beat in heartbeats)
    return dict(sorted(times))


def _polling(pollers: Iterable[PollerInfo], heard: dict[str, datetime]) -> set[QueueWorker]:
    """Return the workers that polled of late, without those of which a heartbeat tells more."""
    now, never = datetime.now(UTC), datetime.min.replace(tzinfo=UTC)
    workers = set()
    for poller in pollers:
        polled, options = _time(poller.last_access_time), poller.deployment_options
        if now - polled <= _POLLED and polled > heard.get(poller.identity, never) + _SAME_PROCESS:
            versioned = options.worker_versioning_mode == _VERSIONED
            workers.add(worker_of(poller.identity, options if versioned else None))
    return workers


def is_heard(heartbeat: WorkerHeartbeat, now: datetime, lasts: timedelta = HEARD) -> bool:
    """Tell whether a worker's last heartbeat is younger than `lasts`, or than three intervals."""
    return now - _time(heartbeat.heartbeat_time) <= max(lasts, _INTERVALS * _interval(heartbeat))


def worker_of(
    identity: str, version: WorkerDeploymentVersion | WorkerDeploymentOptions | None
) -> QueueWorker:
    """Return a worker; without a version, or the name of its deployment, it has no versioning."""
    # Without versioning the SDK sends a hash of the code as the build.
    if version is None or not version.deployment_name:
        return QueueWorker(identity, "", "")
    return QueueWorker(identity, version.deployment_name, version.build_id)


async def list_heartbeats(
    client: Client, task_queue: str, rpc_timeout: timedelta | None = None
) -> list[WorkerHeartbeat]:
    """Return the last heartbeat of each worker; none if the server does not list them.

    Workers that have left are among them, for a while.

    Raises:
        RPCError: the call failed.
    """
    request = ListWorkersRequest(
        namespace=client.namespace, query=f"TaskQueue = {quoted(task_queue)}", page_size=1000
    )
    try:
        answer = await client.workflow_service.list_workers(request, timeout=rpc_timeout)
    except RPCError as error:
        if error.status in _NO_LIST:
            return []
        raise
    return [info.worker_heartbeat for info in answer.workers_info]


def _time(timestamp: Timestamp) -> datetime:
    return timestamp.ToDatetime(UTC)
