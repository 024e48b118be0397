"""Gates of the workers' builds, and on which build orders ended."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from temporalio.api.enums.v1 import EventType
from temporalio.client import Client
from temporalio.common import SearchAttributeKey

from orderfleet.domain.contract import ORDER_TASK_QUEUE, ORDER_WORKFLOW
from orderfleet.versions.deployments import Deployment, deployment_name, describe_deployment
from tests.cluster.support.cluster import Json
from tests.cluster.support.commands import wait_until
from tests.cluster.support.release import Release

_GONE_SECONDS: Final = 120.0
_VERSION: Final = SearchAttributeKey.for_keyword("TemporalWorkerDeploymentVersion")
_FAILED_TASK: Final = EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED


@dataclass(frozen=True)
class Gate:
    """What became of a build's gate."""

    passed: bool
    # The last line of its log: of a gate that failed, the reason.
    words: str
    # From the start of the build's first pod to the gate's end.
    seconds: float


def gate_of(release: Release, tag: str, worker: str = "order-worker") -> Gate:
    """Return the end of a build's gate; a build before may still have its own."""
    jobs = release.namespace.get("jobs", component=worker.replace("worker", "gate"))
    (job,) = (one for one in jobs if _tag(one["spec"]["template"]) == tag)
    ends = {one["type"]: one for one in job["status"]["conditions"] if one["status"] == "True"}
    end = ends.get("Complete") or ends["Failed"]
    log = release.namespace.kubectl("logs", f"job/{job['metadata']['name']}")
    started = min(map(_started, _pods(release, tag, worker)))
    words = log.strip().rpartition("\n")[2]
    seconds = (_time(end["lastTransitionTime"]) - started).total_seconds()
    return Gate("Complete" in ends, words, seconds)


def ready_order_workers(release: Release, tag: str) -> int:
    """Return how many pods of a build of the order worker are ready."""
    return sum(
        condition["type"] == "Ready" and condition["status"] == "True"
        for pod in _pods(release, tag, "order-worker")
        for condition in pod["status"]["conditions"]
    )


def until_order_workers_are(release: Release, tag: str) -> None:
    """Wait until no order worker of another build is left, also none that drains."""
    wait_until(
        f"order workers on {tag}",
        lambda: set(map(_tag, release.namespace.get("pods", component="order-worker"))),
        lambda running: running == {tag},
        _GONE_SECONDS,
    )


async def order_deployment(release: Release) -> Deployment:
    """Return who takes new orders."""
    # A connection of its own for each: a forwarded port does not survive everything.
    async with release.temporal() as client:
        return await describe_deployment(client, deployment_name(ORDER_TASK_QUEUE))


async def builds_of(release: Release, order_ids: Iterable[str]) -> dict[str, str]:
    """Return the build of each order; empty for an order that no worker has taken."""
    query = f"WorkflowType = '{ORDER_WORKFLOW}'"
    builds = dict.fromkeys(order_ids, "")
    async with release.temporal() as client:
        async for workflow in client.list_workflows(query):
            if workflow.id in builds:
                version = workflow.typed_search_attributes.get(_VERSION) or ""
                builds[workflow.id] = version.rpartition(":")[2]
    return builds


async def failed_tasks(release: Release, order_ids: Iterable[str]) -> int:
    """Count the workflow tasks that failed in the histories of orders."""
    async with release.temporal() as client:
        counts = [await _failed_tasks_of(client, order_id) for order_id in order_ids]
    return sum(counts)


async def _failed_tasks_of(client: Client, order_id: str) -> int:
    history = await client.get_workflow_handle(order_id).fetch_history()
    return sum(event.event_type == _FAILED_TASK for event in history.events)


def _pods(release: Release, tag: str, worker: str) -> list[Json]:
    """Return the pods of a worker's build, without those that are told to end."""
    return [
        pod
        for pod in release.namespace.get("pods", component=worker)
        if _tag(pod) == tag and "deletionTimestamp" not in pod["metadata"]
    ]


def _tag(pod: Json) -> str:
    image: str = pod["spec"]["containers"][0]["image"]
    return image.rpartition(":")[2]


def _started(pod: Json) -> datetime:
    """Return when a pod had waited for its dependencies, and its worker started."""
    (initialized,) = (
        condition for condition in pod["status"]["conditions"] if condition["type"] == "Initialized"
    )
    return _time(initialized["lastTransitionTime"])


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
