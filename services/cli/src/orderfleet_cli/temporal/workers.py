"""The command `workers`: what each worker tells of itself, by Temporal's worker heartbeats."""

import asyncio
from collections.abc import Iterator, Sequence

from rich.table import Table
from temporalio.client import Client

from orderfleet.settings import CommonSettings
from orderfleet.temporal.queue_workers import list_heartbeats
from orderfleet.temporal.worker_views import WorkerView, view_workers
from orderfleet_cli.printing import show, show_json, table
from orderfleet_cli.settings import read
from orderfleet_cli.temporal.connection import call_temporal, open_temporal


async def show_workers(*, as_json: bool) -> None:
    """Show the workers of both queues."""
    settings = read(CommonSettings)
    client = await open_temporal()
    queues = (settings.order_task_queue, settings.shipping_task_queue)
    workers = await asyncio.gather(*(list_workers(client, queue) for queue in queues))
    if as_json:
        show_json({"workers": [worker for of_queue in workers for worker in of_queue]})
        return
    if any(workers):
        show(_table([worker for of_queue in workers for worker in of_queue]))
    for queue, of_queue in zip(queues, workers, strict=True):
        if not of_queue:
            show(f"no worker of {queue} sends heartbeats")


async def list_workers(client: Client, queue: str) -> list[WorkerView]:
    """Return the workers of a queue.

    Raises:
        CommandError: Temporal did not answer, or refused.
    """
    return view_workers(await call_temporal(list_heartbeats(client, queue)))


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
            *map(str, slots),
            str(worker.cached_workflows),
            f"{worker.cpu:.0%}",
        )
