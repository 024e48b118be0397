"""The command `workers`: what each worker tells of itself, by Temporal's worker heartbeats."""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from msgspec import Struct
from rich.table import Table
from temporalio.api.worker.v1 import WorkerHeartbeat, WorkerSlotsInfo
from temporalio.client import Client

from orderfleet.settings import CommonSettings
from orderfleet.temporal.queue_workers import (
    HEARD,
    RUNNING,
    is_heard,
    list_heartbeats,
    worker_of,
)
from orderfleet_cli.printing import show, show_json, table
from orderfleet_cli.settings import read
from orderfleet_cli.temporal.connection import call_temporal, open_temporal

# After its last heartbeat a worker that drained is gone; one that was killed shows for a while.
_SHOWN_SECONDS: Final = {"draining": HEARD.total_seconds(), "silent": 90.0}


class Slots(Struct, frozen=True):
    """How many tasks of a kind a worker has under way, and how many it may have."""

    used: int
    of: int


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


async def show_workers(*, as_json: bool) -> None:
    """Show the workers of both queues."""
    settings = read(CommonSettings)
    client = await open_temporal()
    queues = (settings.order_task_queue, settings.shipping_task_queue)
    workers = await asyncio.gather(*(_workers(client, queue) for queue in queues))
    if as_json:
        show_json({"workers": [worker for of_queue in workers for worker in of_queue]})
        return
    if any(workers):
        show(_table([worker for of_queue in workers for worker in of_queue]))
    for queue, of_queue in zip(queues, workers, strict=True):
        if not of_queue:
            show(f"no worker of {queue} sends heartbeats")


async def _workers(client: Client, queue: str) -> list[WorkerView]:
    heartbeats = await call_temporal(list_heartbeats(client, queue))
    now = datetime.now(UTC)
    views = [_view(heartbeat, now) for heartbeat in heartbeats]
    return sorted(
        filter(_is_shown, views),
        key=lambda view: (view.build, view.worker),
    )


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


def _table(workers: Sequence[WorkerView]) -> Table:
    columns = ("task queue", "worker", "build", "status", "up", "workflow tasks", "activities")
    return table(*columns, "local activities", "cached", "CPU", rows=_rows(workers))


def _rows(workers: Sequence[WorkerView]) -> Iterator[tuple[str, ...]]:
    for worker in workers:
        slots = (worker.workflow_slots, worker.activity_slots, worker.local_activity_slots)
        yield (
            worker.task_queue,
            worker.worker,
            worker.build,
            worker.status,
            f"{worker.up_seconds:.0f} s",
            *(f"{kind.used} of {kind.of}" for kind in slots),
            str(worker.cached_workflows),
            f"{worker.cpu:.0%}",
        )
