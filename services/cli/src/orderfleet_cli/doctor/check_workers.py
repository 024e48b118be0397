"""Checks of the workers, by what each tells of itself in Temporal's worker heartbeats."""

from temporalio.client import Client

from orderfleet.temporal.worker_views import WorkerView
from orderfleet_cli.doctor.finding import Finding
from orderfleet_cli.errors import CommandError
from orderfleet_cli.temporal.workers import list_workers

_FULL = "add workers or slots: see docs/runbooks/WorkerSlotsExhausted.md"
_SILENT = "killed, or cut off from Temporal: see its log"


async def check_workers(client: Client, task_queue: str) -> list[Finding]:
    """Return a finding for each worker of a queue; none if Temporal does not list them."""
    try:
        workers = await list_workers(client, task_queue)
    except CommandError:
        # The check of the queue's pollers says why.
        return []
    return [judge(worker) for worker in workers]


def judge(worker: WorkerView) -> Finding:
    """Return the finding for a worker: a full one is bad, of a silent one nothing is known."""
    name = f"worker {worker.worker}"
    if worker.status == "silent":
        found = f"silent for {worker.heartbeat_seconds_ago:.0f} s"
        return Finding(name, ok=None, found=found, fix=_SILENT)
    found = (
        f"{worker.status} on {worker.task_queue}, build {worker.build or 'unversioned'}:"
        f" workflow tasks {worker.workflow_slots}, activities {worker.activity_slots},"
        f" {worker.cached_workflows} workflows cached, CPU {worker.cpu:.0%}"
    )
    slots = (worker.workflow_slots, worker.activity_slots)
    full = any(kind.of and kind.used == kind.of for kind in slots)
    return Finding(name, ok=not full, found=found, fix=_FULL)
