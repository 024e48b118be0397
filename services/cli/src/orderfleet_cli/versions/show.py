"""The command `versions`: the builds of both queues."""

import asyncio
from collections.abc import Iterator

from temporalio.client import Client

from orderfleet.settings import CommonSettings
from orderfleet.versions.view import QueueView, view_queue
from orderfleet_cli.printing import moment, show, show_json, table
from orderfleet_cli.settings import read
from orderfleet_cli.temporal.connection import call_temporal, open_temporal


def task_queues() -> tuple[str, str]:
    """Return the task queues of the fleet."""
    settings = read(CommonSettings)
    return settings.order_task_queue, settings.shipping_task_queue


async def view_queues(client: Client) -> list[QueueView]:
    """Look at the versions of both task queues.

    Raises:
        CommandError: Temporal does not answer, or refuses the call.
    """
    return await asyncio.gather(
        *(call_temporal(view_queue(client, queue)) for queue in task_queues())
    )


async def show_versions(*, as_json: bool) -> None:
    """Show the builds of both queues."""
    queues = await view_queues(await open_temporal())
    if as_json:
        show_json({"queues": queues})
        return
    if any(queue.versions for queue in queues):
        columns = (
            "task queue",
            "build",
            "status",
            "share",
            "pollers",
            "open orders",
            "since (UTC)",
        )
        show(table(*columns, rows=(row for queue in queues for row in _rows(queue))))
    for queue in queues:
        if not queue.versions:
            show(f"{queue.task_queue} has no versions; pollers: {queue.pollers}")


def _rows(queue: QueueView) -> Iterator[tuple[str, ...]]:
    for version in queue.versions:
        yield (
            queue.task_queue,
            version.build,
            version.status,
            f"{version.share:.0%}",
            str(version.pollers),
            "" if version.open_orders is None else str(version.open_orders),
            moment(version.since.isoformat(timespec="milliseconds")) if version.since else "",
        )
