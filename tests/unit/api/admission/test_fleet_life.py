"""Signs of life of a fleet whose Temporal is away; with one: tests/integration."""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from unittest.mock import AsyncMock

import pytest
from temporalio.api.deployment.v1 import WorkerDeploymentOptions, WorkerDeploymentVersion
from temporalio.api.enums.v1 import WorkerVersioningMode
from temporalio.api.taskqueue.v1 import PollerInfo, TaskQueueVersioningInfo
from temporalio.api.workflowservice.v1 import DescribeTaskQueueResponse, ListWorkersResponse
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from orderfleet.temporal.client import connect
from orderfleet_api.admission.fleet_life import FleetLife
from orderfleet_api.settings import ApiSettings


class _Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def nowhere(unused_tcp_port: int) -> Client:
    settings = ApiSettings(temporal_address=f"127.0.0.1:{unused_tcp_port}")
    return await connect(settings, lazy=True)


@pytest.fixture
def no_heartbeats(nowhere: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = AsyncMock(return_value=ListWorkersResponse())
    monkeypatch.setattr(nowhere.workflow_service, "list_workers", listed)


@pytest.fixture
def describe(nowhere: Client, monkeypatch: pytest.MonkeyPatch) -> AsyncMock:
    """Answer for Temporal who polls: a worker, until a test says otherwise."""
    answer = AsyncMock(return_value=_polled_by(""))
    monkeypatch.setattr(nowhere.workflow_service, "describe_task_queue", answer)
    return answer


def test_before_the_first_look_the_fleet_is_not_away() -> None:
    life = FleetLife(["orders"], _Clock())
    assert (life.away, life.suspect) == ("", False)


async def test_a_temporal_that_fails_for_a_second_is_away(nowhere: Client) -> None:
    clock = _Clock()
    life = FleetLife(["orders"], clock)
    await life.look(nowhere)
    assert (life.away, life.suspect) == ("", True)
    clock.now += 0.9
    assert life.away == ""
    clock.now += 0.1
    assert life.away == "Temporal is unavailable."
    # It is away since the first failure.
    clock.now += 4
    await life.look(nowhere)
    assert life.away == "Temporal is unavailable."
    assert life.away_seconds == pytest.approx(5)


async def test_any_answer_ends_the_outage(nowhere: Client) -> None:
    clock = _Clock()
    life = FleetLife(["orders"], clock)
    await life.look(nowhere)
    clock.now += 30
    assert life.away
    life.answered()
    assert (life.away, life.suspect) == ("", False)
    # The next failure is a new one.
    await life.look(nowhere)
    assert (life.away, life.away_seconds) == ("", 0)


async def test_the_outage_is_not_looked_at_for_each_order(nowhere: Client) -> None:
    clock = _Clock()
    life = FleetLife(["orders"], clock)
    await life.look(nowhere)
    clock.now += 30
    async with asyncio.timeout(0):
        await life.confirm(nowhere)
    assert life.away


@pytest.mark.usefixtures("no_heartbeats", "describe")
async def test_while_orders_start_the_queues_are_looked_at_seldom(nowhere: Client) -> None:
    clock = _Clock()
    life = FleetLife(["orders"], clock)
    assert life.due
    await life.look(nowhere)
    due = []
    for _ in range(10):
        clock.now += 1
        due.append(life.due)
        life.answered()
    assert due == [False] * 9 + [True]


@pytest.mark.usefixtures("no_heartbeats", "describe")
async def test_where_none_starts_temporal_may_be_away(nowhere: Client) -> None:
    clock = _Clock()
    life = FleetLife(["orders"], clock)
    await life.look(nowhere)
    due = []
    for _ in range(4):
        clock.now += 0.5
        due.append(life.due)
    assert due == [False, False, False, True]


@pytest.mark.usefixtures("no_heartbeats")
async def test_what_seems_away_is_looked_at_all_the_time(
    nowhere: Client, describe: AsyncMock
) -> None:
    describe.return_value = DescribeTaskQueueResponse()
    life = FleetLife(["orders"], _Clock())
    await life.look(nowhere)
    assert life.due


async def test_a_server_that_does_not_answer_is_away() -> None:
    accepted, done = asyncio.Event(), asyncio.Event()

    async def hang(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.set()
        await done.wait()
        writer.close()

    clock = _Clock()
    life = FleetLife(["orders"], clock)
    async with await asyncio.start_server(hang, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        client = await connect(ApiSettings(temporal_address=f"127.0.0.1:{port}"), lazy=True)
        async with asyncio.timeout(10):
            await life.look(client)
        done.set()
    assert accepted.is_set()
    clock.now += 1
    assert life.away == "Temporal is unavailable."


async def test_who_gives_up_a_look_ends_it_for_nobody_else(nowhere: Client) -> None:
    life = FleetLife(["orders"], _Clock())
    first = asyncio.create_task(life.look(nowhere))
    await asyncio.sleep(0)
    second = asyncio.create_task(life.look(nowhere))
    await asyncio.sleep(0)
    first.cancel()
    await second
    assert first.cancelled()
    assert life.suspect


@pytest.mark.parametrize("status", ["PERMISSION_DENIED", "UNIMPLEMENTED", "RESOURCE_EXHAUSTED"])
async def test_a_server_that_does_not_say_who_polls_is_there(
    nowhere: Client, monkeypatch: pytest.MonkeyPatch, status: str
) -> None:
    error = RPCError("refused", RPCStatusCode[status], b"")
    refuse = AsyncMock(side_effect=error)
    monkeypatch.setattr(nowhere.workflow_service, "describe_task_queue", refuse)
    life = FleetLife(["orders"], _Clock())
    await life.look(nowhere)
    refuse.assert_awaited_once()
    assert (life.away, life.suspect) == ("", False)


async def test_a_call_that_finds_no_server_is_a_failure(
    nowhere: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for status in ("UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED"):
        fail = AsyncMock(side_effect=RPCError("failed", RPCStatusCode[status], b""))
        monkeypatch.setattr(nowhere.workflow_service, "describe_task_queue", fail)
        life = FleetLife(["orders"], _Clock())
        await life.look(nowhere)
        assert life.suspect
        assert life.away == ""


async def test_a_bug_is_no_outage(nowhere: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    bug = AsyncMock(side_effect=RuntimeError("bug"))
    monkeypatch.setattr(nowhere.workflow_service, "describe_task_queue", bug)
    life = FleetLife(["orders"], _Clock())
    with pytest.raises(RuntimeError, match=r"^bug$"):
        await life.look(nowhere)
    assert not life.suspect


@pytest.mark.usefixtures("no_heartbeats")
async def test_no_worker_is_away_at_once_until_the_next_look(
    nowhere: Client, describe: AsyncMock
) -> None:
    """All orders that look again at once share a call for each queue."""
    describe.return_value = DescribeTaskQueueResponse()
    clock = _Clock()
    life = FleetLife(["orders", "shipping"], clock)
    await life.confirm(nowhere)
    describe.assert_not_awaited()
    await life.look(nowhere)
    assert life.away == "No worker polls orders and shipping."
    clock.now += 7
    await asyncio.gather(*(life.confirm(nowhere) for _ in range(50)))
    assert describe.await_count == 4
    assert life.away_seconds == 7
    # Pollers are remembered for longer than they poll.
    for age, away in ((89, False), (91, True)):
        answer = DescribeTaskQueueResponse(pollers=[PollerInfo()])
        answer.pollers[0].last_access_time.FromSeconds(int(time.time()) - age)
        describe.return_value = answer
        await life.confirm(nowhere)
        await life.look(nowhere)
        assert bool(life.away) is away
    # It is away again since just now.
    assert life.away_seconds == 0


def _polled_by(
    *builds: str, current: str = "", ramping: str = "", percent: float = 0
) -> DescribeTaskQueueResponse:
    """Return an answer: who polls (empty: without versioning), and to which build orders go."""
    answer = DescribeTaskQueueResponse(
        versioning_info=TaskQueueVersioningInfo(
            current_deployment_version=WorkerDeploymentVersion(build_id=current),
            ramping_deployment_version=WorkerDeploymentVersion(build_id=ramping),
            ramping_version_percentage=percent,
        )
    )
    versioned = WorkerVersioningMode.WORKER_VERSIONING_MODE_VERSIONED
    for build in builds:
        options = WorkerDeploymentOptions(deployment_name="orders", build_id=build)
        if build:
            options.worker_versioning_mode = versioned
        answer.pollers.add(deployment_options=options).last_access_time.GetCurrentTime()
    return answer


@pytest.mark.usefixtures("no_heartbeats")
@pytest.mark.parametrize(
    ("queue", "away"),
    [
        (partial(_polled_by, "old", "new", current="old"), ""),
        (partial(_polled_by, "old", "new", current="old", ramping="new", percent=10), ""),
        (partial(_polled_by, "new", current="old", ramping="new", percent=100), ""),
        (partial(_polled_by, ""), ""),
        # About to be promoted.
        (partial(_polled_by, "new"), ""),
        # Others poll, but new orders are not theirs.
        (partial(_polled_by, "new", current="old"), "No worker polls orders (build old)."),
        (
            partial(_polled_by, "new", current="old", ramping="new", percent=10),
            "No worker polls orders (build old).",
        ),
        (partial(_polled_by, "", current="old"), "No worker polls orders (build old)."),
    ],
)
async def test_only_workers_that_take_new_orders_are_life(
    nowhere: Client,
    describe: AsyncMock,
    queue: Callable[[], DescribeTaskQueueResponse],
    away: str,
) -> None:
    describe.return_value = queue()
    life = FleetLife(["orders"], _Clock())
    await life.look(nowhere)
    assert life.away == away
