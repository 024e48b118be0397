"""Builds of the order worker, good and bad, by `helm upgrade` alone, under 3 orders a second.

By `make test-builds`, not by `make test-cluster`: the chart has versions off by default.
"""

from dataclasses import dataclass
from datetime import datetime
from math import sqrt
from typing import Final

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client
from temporalio.common import SearchAttributeKey

from orderfleet.domain.contract import ORDER_TASK_QUEUE, ORDER_WORKFLOW
from orderfleet.versions.deployments import Deployment, deployment_name, describe_deployment
from tests.cluster.conftest import ReleaseWith
from tests.cluster.support import images
from tests.cluster.support.builds import CRASHES, DECLINES, ONE_MORE_COMMAND, Build
from tests.cluster.support.cluster import Json
from tests.cluster.support.commands import wait_until
from tests.cluster.support.flows import Flow, Load, flow
from tests.cluster.support.release import Release
from tests.cluster.support.shop import balanced
from tests.cluster.support.steps import Steps

pytestmark = pytest.mark.timeout(900)

# The chart's default is off.
_VERSIONED: Final = {"versioning.enabled": "true"}
_LOAD: Final = Load(rate=3)
# The share of new orders that a new build may get: 10 %, and three times as much as 3 orders a
# second bring few orders.
_SHARE: Final = 0.3
# helm waits so long for pods that never become ready: a gate takes 125 s at most.
_HELM_SECONDS: Final = 180
# From the first pod's start, of which Python takes some seconds before the worker polls.
_STOPPED_SECONDS: Final = 65.0
_GONE_SECONDS: Final = 120.0
# The share of all orders that a bad build may touch beyond its share of the ramp.
_BEYOND: Final = 0.01
_VERSION: Final = SearchAttributeKey.for_keyword("TemporalWorkerDeploymentVersion")
_FAILED_TASK: Final = EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED


@pytest.fixture
def release(release_with: ReleaseWith) -> Release:
    return release_with(images.values(images.OLD) | _VERSIONED)


async def test_good_build(release: Release, steps: Steps) -> None:
    with steps.step("build and load an order worker with one more command"):
        ONE_MORE_COMMAND.make()
    before = await _deployment(release)
    with steps.step("helm upgrade to it, under 3 orders a second") as step:
        with flow(release, "good-build", images.OLD, _LOAD) as orders:
            release.upgrade(ONE_MORE_COMMAND.values | _VERSIONED)
            _until_alone(release, ONE_MORE_COMMAND.tag)
        orders.show(step)
        orders.check()
        gate = _gate(release, ONE_MORE_COMMAND)
        assert gate.passed, gate.words
        after = await _deployment(release)
        assert after.current not in {None, before.current}
        assert after.ramping is None
        placed = await _builds(release, orders)
        assert set(placed.values()) == {before.current, after.current}
        step.saw(
            gate=gate.words,
            on_the_new_build=list(placed.values()).count(after.current),
            failed_tasks=await _failed_tasks(release, list(placed)),
        )
        assert not step.seen["failed_tasks"]
        async with release.books() as pool:
            await balanced(pool, orders.accepted)


@pytest.mark.parametrize("build", [CRASHES, DECLINES], ids=lambda build: build.name)
async def test_bad_build(release: Release, steps: Steps, build: Build) -> None:
    with steps.step(f"build and load an order worker that {build.name}"):
        build.make()
    good, before = len(release.revisions), await _deployment(release)
    assert before.current is not None
    with steps.step("helm upgrade to it, and helm rollback, under 3 orders a second") as step:
        with flow(release, f"build-{build.name}", images.OLD, _LOAD) as orders:
            with pytest.raises(AssertionError, match="order-gate"):
                release.upgrade(build.values | _VERSIONED, seconds=_HELM_SECONDS)
            gate = _gate(release, build)
            after = await _deployment(release)
            # Without a hand: all new orders to the old build, and none of its pods gone.
            assert (after.current, after.ramping) == (before.current, None)
            assert _ready(release, images.OLD) == 2
            assert _ready(release, build.tag) == 0
            release.rollback(good)
            _until_alone(release, images.OLD)
        orders.show(step)
        assert not gate.passed
        assert gate.seconds < _STOPPED_SECONDS, gate
        assert not orders.open, f"never ended: {orders.open}"
        touched = sorted(orders.hurt)
        placed = await _builds(release, orders)
        # Whatever a bad build spoils, it began: the others ended as ever.
        spoilt_others = [order for order in touched if placed[order] == before.current]
        ramped = _LOAD.rate * gate.seconds
        most = ramped * _SHARE + 3 * sqrt(ramped * _SHARE) + _BEYOND * len(orders.accepted)
        old = [order for order, built in placed.items() if built == before.current]
        step.saw(
            gate=gate.words,
            stopped_after=f"{gate.seconds:.0f} s",
            touched=f"{len(touched)} of {len(orders.accepted)}",
            failed_tasks_on_the_old_build=await _failed_tasks(release, old),
        )
        assert len(spoilt_others) <= _BEYOND * len(orders.accepted), spoilt_others
        assert len(touched) <= most, touched
        assert not step.seen["failed_tasks_on_the_old_build"]
        assert not orders.report["lost"], orders.report["lost"][:10]
        async with release.books() as pool:
            await balanced(pool, orders.accepted)


@dataclass(frozen=True)
class Gate:
    """What became of a build's gate."""

    passed: bool
    # The last line of its log.
    words: str
    # From the start of the build's first pod to the gate's end.
    seconds: float


def _gate(release: Release, build: Build) -> Gate:
    """Return the end of a build's gate, which is the only one: helm deletes those before."""
    (job,) = release.namespace.get("jobs", component="order-gate")
    assert _tag(job["spec"]["template"]) == build.tag
    ends = {one["type"]: one for one in job["status"]["conditions"] if one["status"] == "True"}
    end = ends.get("Complete") or ends["Failed"]
    log = release.namespace.kubectl("logs", f"job/{job['metadata']['name']}")
    started = min(map(_started, _pods(release, build.tag)))
    words = log.strip().rpartition("\n")[2]
    seconds = (_time(end["lastTransitionTime"]) - started).total_seconds()
    return Gate("Complete" in ends, words, seconds)


def _pods(release: Release, tag: str) -> list[Json]:
    """Return the pods of a build of the order worker, without those that are told to end."""
    return [
        pod
        for pod in release.namespace.get("pods", component="order-worker")
        if _tag(pod) == tag and "deletionTimestamp" not in pod["metadata"]
    ]


def _tag(pod: Json) -> str:
    image: str = pod["spec"]["containers"][0]["image"]
    return image.rpartition(":")[2]


def _ready(release: Release, tag: str) -> int:
    return sum(
        condition["type"] == "Ready" and condition["status"] == "True"
        for pod in _pods(release, tag)
        for condition in pod["status"]["conditions"]
    )


def _started(pod: Json) -> datetime:
    """Return when a pod had waited for its dependencies, and its worker started."""
    (initialized,) = (
        condition for condition in pod["status"]["conditions"] if condition["type"] == "Initialized"
    )
    return _time(initialized["lastTransitionTime"])


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _until_alone(release: Release, tag: str) -> None:
    """Wait until no pod of another build is left, also none that drains."""
    wait_until(
        f"order workers on {tag}",
        lambda: set(map(_tag, release.namespace.get("pods", component="order-worker"))),
        lambda running: running == {tag},
        _GONE_SECONDS,
    )


async def _deployment(release: Release) -> Deployment:
    # A connection of its own for each: a forwarded port does not survive everything.
    async with release.temporal() as client:
        return await describe_deployment(client, deployment_name(ORDER_TASK_QUEUE))


async def _builds(release: Release, orders: Flow) -> dict[str, str]:
    """Return the build of each order of a flow; empty for an order that no worker has taken."""
    query = f"WorkflowType = '{ORDER_WORKFLOW}'"
    builds = dict.fromkeys(orders.accepted, "")
    async with release.temporal() as client:
        async for workflow in client.list_workflows(query):
            if workflow.id in builds:
                version = workflow.typed_search_attributes.get(_VERSION) or ""
                builds[workflow.id] = version.rpartition(":")[2]
    return builds


async def _failed_tasks(release: Release, order_ids: list[str]) -> int:
    """Count the workflow tasks that failed in the histories of orders."""
    async with release.temporal() as client:
        counts = [await _failed_tasks_of(client, order_id) for order_id in order_ids]
    return sum(counts)


async def _failed_tasks_of(client: Client, order_id: str) -> int:
    history = await client.get_workflow_handle(order_id).fetch_history()
    return sum(event.event_type == _FAILED_TASK for event in history.events)
