"""Who counts as a worker of a queue, by its polls and heartbeats; with Temporal: integration."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from unittest.mock import AsyncMock

import pytest
from temporalio.api.deployment.v1 import WorkerDeploymentOptions, WorkerDeploymentVersion
from temporalio.api.enums.v1 import WorkerStatus, WorkerVersioningMode
from temporalio.api.taskqueue.v1 import PollerInfo
from temporalio.api.worker.v1 import WorkerHeartbeat, WorkerInfo, WorkerPollerInfo
from temporalio.api.workflowservice.v1 import DescribeTaskQueueResponse, ListWorkersResponse
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from orderfleet.settings import CommonSettings
from orderfleet.temporal.client import connect
from orderfleet.temporal.queue_workers import QueueWorkers, list_queue_workers

_VERSIONED = WorkerVersioningMode.WORKER_VERSIONING_MODE_VERSIONED
_RUNNING = WorkerStatus.WORKER_STATUS_RUNNING
_SHUTTING_DOWN = WorkerStatus.WORKER_STATUS_SHUTTING_DOWN


def _poll(seconds_ago: float, *, build: str = "new", identity: str = "pod") -> PollerInfo:
    options = WorkerDeploymentOptions(build_id=build)
    if build:
        options.deployment_name, options.worker_versioning_mode = "orders", _VERSIONED
    poller = PollerInfo(identity=identity, deployment_options=options)
    poller.last_access_time.FromDatetime(datetime.now(UTC) - timedelta(seconds=seconds_ago))
    return poller


def _heartbeat(
    seconds_ago: float,
    *,
    build: str = "new",
    identity: str = "pod",
    interval: float | None = 1,
    status: WorkerStatus.ValueType = _RUNNING,
) -> WorkerHeartbeat:
    heartbeat = WorkerHeartbeat(
        worker_identity=identity,
        # As the SDK does without versioning: a hash without a deployment.
        deployment_version=WorkerDeploymentVersion(
            deployment_name="orders" if build else "", build_id=build or "d86dd7cc"
        ),
        status=status,
        workflow_poller_info=WorkerPollerInfo(current_pollers=5),
    )
    heartbeat.heartbeat_time.FromDatetime(datetime.now(UTC) - timedelta(seconds=seconds_ago))
    if interval is not None:
        heartbeat.elapsed_since_last_heartbeat.FromTimedelta(timedelta(seconds=interval))
    return heartbeat


_goodbye = partial(_heartbeat, status=_SHUTTING_DOWN)


@pytest.fixture
async def temporal(unused_tcp_port: int) -> Client:
    settings = CommonSettings(temporal_address=f"127.0.0.1:{unused_tcp_port}")
    return await connect(settings, lazy=True)


async def _list(
    temporal: Client,
    monkeypatch: pytest.MonkeyPatch,
    *seen: PollerInfo | WorkerHeartbeat,
    type_: str = "workflow",
    lately: bool = False,
) -> QueueWorkers:
    polls = [each for each in seen if isinstance(each, PollerInfo)]
    beats = [WorkerInfo(worker_heartbeat=h) for h in seen if isinstance(h, WorkerHeartbeat)]
    described = AsyncMock(return_value=DescribeTaskQueueResponse(pollers=polls))
    listed = AsyncMock(return_value=ListWorkersResponse(workers_info=beats))
    monkeypatch.setattr(temporal.workflow_service, "describe_task_queue", described)
    monkeypatch.setattr(temporal.workflow_service, "list_workers", listed)
    return await list_queue_workers(temporal, "orders", type_, lately=lately)


@pytest.mark.parametrize(
    ("seen", "polls"),
    [
        # Started within the last second, or the server lists no workers.
        ([partial(_poll, 0)], True),
        ([partial(_poll, 89)], True),
        ([partial(_poll, 91)], False),
        # All of its polls are in other partitions.
        ([partial(_heartbeat, 0)], True),
        ([partial(_heartbeat, 9)], True),
        # Killed, whatever it did before.
        ([partial(_heartbeat, 11)], False),
        ([partial(_heartbeat, 11), partial(_poll, 11)], False),
        ([partial(_heartbeat, 11), partial(_poll, 10)], False),
        ([partial(_heartbeat, 11), partial(_poll, 60)], False),
        # It said goodbye, and had polled until then.
        ([partial(_goodbye, 0)], False),
        ([partial(_goodbye, 0), partial(_poll, 0)], False),
        # Another process of the same name since.
        ([partial(_goodbye, 5), partial(_poll, 1)], True),
        ([partial(_goodbye, 5), partial(_heartbeat, 1)], True),
        ([partial(_heartbeat, 1), partial(_goodbye, 5)], True),
        ([partial(_heartbeat, 50), partial(_poll, 1)], True),
        # Of an older release: a heartbeat a minute.
        ([partial(_heartbeat, 150, interval=60)], True),
        ([partial(_heartbeat, 190, interval=60)], False),
        ([partial(_heartbeat, 80, interval=None)], True),
        ([partial(_heartbeat, 100, interval=None)], False),
    ],
)
async def test_who_polls(
    temporal: Client,
    monkeypatch: pytest.MonkeyPatch,
    seen: list[Callable[[], PollerInfo | WorkerHeartbeat]],
    polls: bool,
) -> None:
    queue = await _list(temporal, monkeypatch, *(make() for make in seen))
    assert [worker.identity for worker in queue.workers] == ["pod"] * polls
    assert len(queue.of("new")) == polls


async def test_those_of_late_may_count(temporal: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    for seconds, there in ((89, True), (91, False)):
        for make in (_heartbeat, _goodbye, _poll):
            assert (
                bool((await _list(temporal, monkeypatch, make(seconds), lately=True)).workers)
                is there
            )
    gone = _goodbye(5), _poll(6, identity="other")
    queue = await _list(temporal, monkeypatch, *gone, lately=True)
    assert [worker.identity for worker in queue.workers] == ["other", "pod"]
    assert not (await _list(temporal, monkeypatch, gone[0], _poll(6))).workers


async def test_each_worker_counts_once_and_has_its_build(
    temporal: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[PollerInfo | WorkerHeartbeat] = [
        *(_poll(3, build="", identity="plain"), _heartbeat(0, build="", identity="plain")),
        *(_poll(3, identity="pod"), _heartbeat(0, identity="pod")),
        _poll(0, build="", identity="plain-2"),
    ]
    queue = await _list(temporal, monkeypatch, *seen)
    assert [worker.identity for worker in queue.of("")] == ["plain", "plain-2"]
    assert [(worker.identity, worker.deployment) for worker in queue.of("new")] == [
        ("pod", "orders")
    ]


async def test_a_worker_without_pollers_of_the_type_is_none_of_it(
    temporal: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not (await _list(temporal, monkeypatch, _heartbeat(0), type_="activity")).workers


@pytest.mark.parametrize("status", ["UNIMPLEMENTED", "PERMISSION_DENIED", "INVALID_ARGUMENT"])
async def test_a_server_that_lists_no_workers_knows_pollers(
    temporal: Client, monkeypatch: pytest.MonkeyPatch, status: str
) -> None:
    described = AsyncMock(return_value=DescribeTaskQueueResponse(pollers=[_poll(0)]))
    refused = AsyncMock(side_effect=RPCError("refused", RPCStatusCode[status], b""))
    monkeypatch.setattr(temporal.workflow_service, "describe_task_queue", described)
    monkeypatch.setattr(temporal.workflow_service, "list_workers", refused)
    assert len((await list_queue_workers(temporal, "orders")).workers) == 1
    refused.side_effect = RPCError("away", RPCStatusCode.UNAVAILABLE, b"")
    with pytest.raises(RPCError, match="away"):
        await list_queue_workers(temporal, "orders")
