"""What a look at a task queue shows of its versions, on a real server."""

from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from orderfleet.temporal.queue_workers import list_queue_workers
from orderfleet.versions.deployments import VersionStatus, set_ramp, unset_ramp
from orderfleet.versions.view import UNVERSIONED, QueueView, view_queue
from tests.integration.support.fleet import eventually
from tests.integration.support.versions import Plain, build, current, pinned


def _rows(view: QueueView) -> list[tuple[str, VersionStatus, float, int, int | None]]:
    return [
        (version.build, version.status, version.share, version.pollers, version.open_orders)
        for version in view.versions
    ]


async def test_a_queue_without_versioned_workers_has_no_versions(
    client: Client, queue: str
) -> None:
    assert await view_queue(client, queue) == QueueView(queue, 0, [])
    worker = Worker(
        client, task_queue=queue, workflows=[Plain], workflow_runner=UnsandboxedWorkflowRunner()
    )
    async with worker:

        async def polled() -> bool:
            return (await view_queue(client, queue)).pollers == 1

        await eventually(polled)
        assert (await view_queue(client, queue)).versions == []


async def test_versioned_workers_without_a_current_version_take_no_order(
    client: Client, queue: str
) -> None:
    async with build(client, queue, "one"):
        view = await view_queue(client, queue)
    assert _rows(view) == [
        (UNVERSIONED, VersionStatus.CURRENT, 1, 0, None),
        ("one", VersionStatus.INACTIVE, 0, 1, 0),
    ]
    assert view.ramp_seconds == 0


async def test_a_ramp_and_an_order_that_nobody_works_on(client: Client, queue: str) -> None:
    async with build(client, queue, "one") as one:
        await current(client, one)
        async with build(client, queue, "two") as two:
            await set_ramp(client, two, 25)
            view = await view_queue(client, queue)
            assert _rows(view) == [
                ("one", VersionStatus.CURRENT, 0.75, 1, 0),
                ("two", VersionStatus.RAMPING, 0.25, 1, 0),
            ]
            assert view.current is not None
            assert view.current.since is not None
            assert 0 <= view.ramp_seconds < 30
            await set_ramp(client, two, 100)
            handle = await pinned(client, two)
        await unset_ramp(client, queue)
        await handle.signal("end")
        view = await view_queue(client, queue)
        assert view.ramping is None
        # The order of the worker that has left is in the backlog of the queue.
        assert _rows(view) == [
            ("one", VersionStatus.CURRENT, 1, 1, 0),
            ("two", VersionStatus.DRAINING, 0, 0, 1),
        ]

        async def waits() -> bool:
            listed = await list_queue_workers(client, queue)
            assert listed.current == "one"
            assert (len(listed.workers), len(listed.of("two"))) == (1, 0)
            return listed.queue.stats.approximate_backlog_count == 1

        await eventually(waits)
        async with build(client, queue, "two"):
            await handle.result()
