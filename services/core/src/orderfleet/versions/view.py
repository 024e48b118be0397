"""Who serves a task queue: its versions with their shares, pollers and open orders.

For those who look (`orderfleet versions`, doctor, the API's metrics). Which deployments a queue has
is read from the queue: from its routing and its pollers.
"""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from msgspec import Struct
from temporalio.client import Client

from orderfleet.temporal.queue_workers import QueueWorkers, list_queue_workers
from orderfleet.versions.deployments import (
    TIMEOUT,
    Deployment,
    Version,
    VersionStatus,
    VersionSummary,
    count_open,
    describe_deployment,
)

# The build of all workers without versioning; a hash has no such letters.
UNVERSIONED: Final = "unversioned"
# Temporal keeps up to a hundred versions of a deployment; beside those that take new orders, the
# newest of those that still have orders or workers are of interest.
_MOST: Final = 5
_SERVING: Final = frozenset({VersionStatus.CURRENT, VersionStatus.RAMPING})
_GONE: Final = frozenset({VersionStatus.DRAINED, VersionStatus.INACTIVE, VersionStatus.CREATED})


class VersionView(Struct, frozen=True):
    """A version of a task queue's workers, or those without versioning."""

    deployment: str
    build: str
    status: VersionStatus
    # Of new orders, 0 to 1.
    share: float
    # Workers that poll now.
    pollers: int
    # Running workflows that end on this build; None without versioning: orders that no worker has
    # begun look the same.
    open_orders: int | None
    # When the version became current or ramping, was retired, or first polled.
    since: datetime | None


class QueueView(Struct, frozen=True):
    """The versions of a task queue: those that serve first, then the newest.

    There are none if nobody versions the queue, neither a worker nor its routing.
    """

    task_queue: str
    # Of workflow tasks, versioned or not.
    pollers: int
    versions: list[VersionView]

    @property
    def current(self) -> VersionView | None:
        """The version that takes new orders; None if the queue has no versions."""
        return self._with(VersionStatus.CURRENT)

    @property
    def ramping(self) -> VersionView | None:
        """The version that takes a share of the new orders, if there is one."""
        return self._with(VersionStatus.RAMPING)

    @property
    def ramp_seconds(self) -> float:
        """For how long a version has been ramping; 0 if none is."""
        since = self.ramping and self.ramping.since
        return max(0.0, (datetime.now(UTC) - since).total_seconds()) if since else 0.0

    def _with(self, status: VersionStatus) -> VersionView | None:
        return next((version for version in self.versions if version.status is status), None)


async def view_queue(client: Client, task_queue: str) -> QueueView:
    """Look at the versions of a task queue.

    Raises:
        RPCError: a call failed.
    """
    queue = await list_queue_workers(client, task_queue, rpc_timeout=TIMEOUT)
    names = sorted(set(_deployments(queue)))
    deployments = await asyncio.gather(*(describe_deployment(client, name) for name in names))
    looks = [
        _view(client, queue, summary)
        for deployment in deployments
        for summary in _of_interest(queue, deployment)
    ]
    versions = await asyncio.gather(*looks)
    if names:
        versions.append(_unversioned(queue))
    versions = sorted(filter(_alive, versions), key=_rank)
    return QueueView(task_queue, len(queue.workers), versions)


def _deployments(queue: QueueWorkers) -> Iterator[str]:
    routing = queue.queue.versioning_info
    for version in (routing.current_deployment_version, routing.ramping_deployment_version):
        if version.build_id:
            yield version.deployment_name
    for worker in queue.workers:
        if worker.deployment:
            yield worker.deployment


def _of_interest(queue: QueueWorkers, deployment: Deployment) -> Iterator[VersionSummary]:
    """Yield the versions that may serve, have workers or have open orders; of the others a few."""
    others = 0
    for summary in deployment.versions:
        if summary.status in _SERVING:
            yield summary
        elif others < _MOST and (summary.status not in _GONE or queue.of(summary.version.build)):
            others += 1
            yield summary


async def _view(client: Client, queue: QueueWorkers, summary: VersionSummary) -> VersionView:
    version = summary.version
    times = summary.current_since, summary.ramping_since, summary.retired, summary.created
    return VersionView(
        version.deployment,
        version.build,
        summary.status,
        share=_share(queue, version),
        pollers=len(queue.of(version.build)),
        open_orders=await count_open(client, version),
        since=next(filter(None, times)),
    )


def _unversioned(queue: QueueWorkers) -> VersionView:
    share = _share(queue, Version("", ""))
    status = VersionStatus.CURRENT if share else VersionStatus.INACTIVE
    pollers = len(queue.of(""))
    return VersionView("", UNVERSIONED, status, share, pollers, open_orders=None, since=None)


def _share(queue: QueueWorkers, version: Version) -> float:
    routing = queue.queue.versioning_info
    ramped = routing.ramping_version_percentage / 100
    shares = (
        (routing.current_deployment_version, 1 - ramped),
        (routing.ramping_deployment_version, ramped),
    )
    return sum(
        share
        for routed, share in shares
        if Version(routed.deployment_name, routed.build_id) == version
    )


def _alive(version: VersionView) -> bool:
    """Tell whether the version takes orders, or has some, or has workers."""
    return bool(version.status in _SERVING or version.pollers or version.open_orders)


def _rank(version: VersionView) -> int:
    """Rank the current version first, then the ramping one; the others stay in their order."""
    return (VersionStatus.CURRENT, VersionStatus.RAMPING, version.status).index(version.status)
