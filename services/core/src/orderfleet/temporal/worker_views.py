"""What each worker tells of itself by Temporal's worker heartbeats, for people."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from msgspec import Struct
from temporalio.api.worker.v1 import WorkerHeartbeat, WorkerSlotsInfo

from orderfleet.temporal.queue_workers import HEARD, RUNNING, is_heard, worker_of

# After its last heartbeat a worker that drained is gone; one that was killed shows for a while.
_SHOWN_SECONDS: Final = {"draining": HEARD.total_seconds(), "silent": 90.0}


class Slots(Struct, frozen=True):
    """How many tasks of a kind a worker has under way, and how many it may have."""

    used: int
    of: int

    def __str__(self) -> str:
        return f"{self.used} of {self.of}"


class WorkerView(Struct, frozen=True):
    """A worker, as it was at its last heartbeat."""

    task_queue: str
    # The pod's name, and the process in it.
    worker: str
    # Empty without versioning.
    build: str
    # running; draining: it takes no more tasks; silent: killed, or cut off from Temporal.
    status: str
    heartbeat_seconds_ago: float
    up_seconds: float
    workflow_slots: Slots
    activity_slots: Slots
    local_activity_slots: Slots
    cached_workflows: int
    # Of all CPUs that the worker sees, 0 to 1.
    cpu: float


def view_workers(heartbeats: Iterable[WorkerHeartbeat]) -> list[WorkerView]:
    """Return the workers that run, or did a moment ago, by build and name."""
    now = datetime.now(UTC)
    views = [_view(heartbeat, now) for heartbeat in heartbeats]
    return sorted(filter(_is_shown, views), key=lambda view: (view.build, view.worker))


def _view(heartbeat: WorkerHeartbeat, now: datetime) -> WorkerView:
    ago = (now - heartbeat.heartbeat_time.ToDatetime(UTC)).total_seconds()
    worker = worker_of(heartbeat.worker_identity, heartbeat.deployment_version)
    return WorkerView(
        task_queue=heartbeat.task_queue,
        worker=worker.identity,
        build=worker.build,
        status=_status(heartbeat, now),
        heartbeat_seconds_ago=round(max(0.0, ago), 1),
        up_seconds=round((now - heartbeat.start_time.ToDatetime(UTC)).total_seconds(), 1),
        workflow_slots=_slots(heartbeat.workflow_task_slots_info),
        activity_slots=_slots(heartbeat.activity_task_slots_info),
        local_activity_slots=_slots(heartbeat.local_activity_slots_info),
        cached_workflows=heartbeat.current_sticky_cache_size,
        cpu=round(heartbeat.host_info.current_host_cpu_usage, 2),
    )


def _status(heartbeat: WorkerHeartbeat, now: datetime) -> str:
    if heartbeat.status != RUNNING:
        return "draining"
    return "running" if is_heard(heartbeat, now) else "silent"


def _is_shown(view: WorkerView) -> bool:
    return view.status == "running" or view.heartbeat_seconds_ago < _SHOWN_SECONDS[view.status]


def _slots(info: WorkerSlotsInfo) -> Slots:
    return Slots(info.current_used_slots, info.current_used_slots + info.current_available_slots)
