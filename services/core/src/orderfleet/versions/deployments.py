"""Temporal's Worker Deployments as typed functions: who serves, who ramps.

A deployment is all workers of a task queue; its version is a build of them. New orders go to the
current version, a share of them to the ramping one.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.deployment.v1 import WorkerDeploymentInfo, WorkerDeploymentVersion
from temporalio.api.enums.v1 import WorkerDeploymentVersionStatus
from temporalio.api.workflowservice.v1 import (
    DescribeWorkerDeploymentRequest,
    GetSystemInfoRequest,
    SetWorkerDeploymentCurrentVersionRequest,
    SetWorkerDeploymentRampingVersionRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

# For each call. Setting the current version took 0.1 to 1.0 s.
TIMEOUT: Final = timedelta(seconds=5)
# The first server whose Worker Deployments are generally available.
_FIRST_SERVER: Final = (1, 29)
_PINNED: Final = (
    "TemporalWorkerDeploymentVersion = '{version}' AND ExecutionStatus = 'Running'"
    " AND TemporalWorkflowVersioningBehavior = 'Pinned'"
)


class VersionStatus(StrEnum):
    """Temporal's status of a version."""

    CREATED = "created"
    INACTIVE = "inactive"
    CURRENT = "current"
    RAMPING = "ramping"
    DRAINING = "draining"
    DRAINED = "drained"
    UNKNOWN = "unknown"


@dataclass(frozen=True, order=True)
class Version:
    """A build of a deployment's workers."""

    deployment: str
    build: str

    def __str__(self) -> str:
        """As the search attribute `TemporalWorkerDeploymentVersion` has it."""
        return f"{self.deployment}:{self.build}"


@dataclass(frozen=True)
class VersionSummary:
    """A version that Temporal knows: it polled at least once."""

    version: Version
    status: VersionStatus
    created: datetime
    current_since: datetime | None
    ramping_since: datetime | None
    # When the version last stopped being current or ramping.
    retired: datetime | None
    # When the version last became current; None if it never was.
    last_current: datetime | None = None


@dataclass(frozen=True)
class Deployment:
    """A deployment's routing and its versions, the newest first.

    Without a current version unversioned workers take the new orders.
    """

    name: str
    current: str | None = None
    ramping: str | None = None
    # The ramping version's share of new orders, 0 to 100.
    percent: float = 0.0
    versions: tuple[VersionSummary, ...] = ()
    # A change with it fails if somebody else changed the routing since.
    token: bytes = b""


def deployment_name(task_queue: str) -> str:
    """Return the name of a task queue's deployment.

    Dots and colons separate name and build in Temporal's texts: they become dashes.
    """
    return re.sub(r"[.:]", "-", task_queue)


async def server_can_version(client: Client) -> tuple[bool, str]:
    """Return whether the server has Worker Deployments (1.29 or later), and its version.

    Raises:
        RPCError: the call failed.
    """
    answer = await client.workflow_service.get_system_info(GetSystemInfoRequest(), timeout=TIMEOUT)
    return is_recent(answer.server_version), answer.server_version


def is_recent(server_version: str) -> bool:
    """Return whether a server's version is 1.29 or later; a text without numbers is not."""
    match = re.match(r"v?(\d+)\.(\d+)", server_version)
    return match is not None and (int(match[1]), int(match[2])) >= _FIRST_SERVER


async def describe_deployment(client: Client, name: str) -> Deployment:
    """Return a deployment; without versions if no versioned worker has polled yet.

    Raises:
        RPCError: the call failed.
    """
    request = DescribeWorkerDeploymentRequest(namespace=client.namespace, deployment_name=name)
    try:
        # The server answers some 20 of these a second and refuses the rest.
        answer = await client.workflow_service.describe_worker_deployment(
            request, timeout=TIMEOUT, retry=True
        )
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return Deployment(name)
        raise
    info = answer.worker_deployment_info
    routing = info.routing_config
    ramping = _build(routing.ramping_deployment_version)
    summaries = sorted(map(_summary, info.version_summaries), key=_created, reverse=True)
    return Deployment(
        name,
        current=_build(routing.current_deployment_version),
        ramping=ramping,
        percent=routing.ramping_version_percentage if ramping else 0.0,
        versions=tuple(summaries),
        token=answer.conflict_token,
    )


async def set_current(client: Client, version: Version, *, token: bytes = b"") -> None:
    """Make a version the current one; if it was ramping, the ramp ends.

    Args:
        client: of Temporal.
        version: has polled; a version without pollers is refused. With an empty build, unversioned
            workers take the new orders.
        token: of the deployment as the caller saw it; empty overwrites any change since.

    Raises:
        RPCError: FAILED_PRECONDITION if the version's pollers are unknown yet or the routing
            changed since `token`, NOT_FOUND if the version never polled; or the call failed.
    """
    await client.workflow_service.set_worker_deployment_current_version(
        SetWorkerDeploymentCurrentVersionRequest(
            namespace=client.namespace,
            deployment_name=version.deployment,
            build_id=version.build,
            conflict_token=token,
            identity=client.identity,
        ),
        timeout=TIMEOUT,
    )


async def set_ramp(client: Client, version: Version, percent: float, *, token: bytes = b"") -> None:
    """Route a share of the new orders, 0 to 100, to a version beside the current one.

    Raises:
        RPCError: as `set_current`.
    """
    await _set_ramp(client, version.deployment, version.build, percent, token)


async def unset_ramp(client: Client, name: str, *, token: bytes = b"") -> None:
    """Route all new orders of a deployment to its current version.

    Raises:
        RPCError: as `set_current`.
    """
    await _set_ramp(client, name, "", 0.0, token)


async def count_open(client: Client, version: Version) -> int:
    """Count the running workflows that are pinned to a version.

    The visibility store answers; a workflow appears there some 0.1 s after its first task.

    Raises:
        RPCError: the call failed.
    """
    query = _PINNED.format(version=version)
    return (await client.count_workflows(query, rpc_timeout=TIMEOUT)).count


async def _set_ramp(client: Client, name: str, build: str, percent: float, token: bytes) -> None:
    await client.workflow_service.set_worker_deployment_ramping_version(
        SetWorkerDeploymentRampingVersionRequest(
            namespace=client.namespace,
            deployment_name=name,
            build_id=build,
            percentage=percent,
            conflict_token=token,
            identity=client.identity,
        ),
        timeout=TIMEOUT,
    )


def _summary(summary: WorkerDeploymentInfo.WorkerDeploymentVersionSummary) -> VersionSummary:
    version = summary.deployment_version
    return VersionSummary(
        Version(version.deployment_name, version.build_id),
        _status(summary.status),
        summary.create_time.ToDatetime(UTC),
        current_since=_time(summary.current_since_time),
        ramping_since=_time(summary.ramping_since_time),
        retired=_time(summary.last_deactivation_time),
        last_current=_time(summary.last_current_time),
    )


def _created(summary: VersionSummary) -> datetime:
    return summary.created


def _build(version: WorkerDeploymentVersion) -> str | None:
    return version.build_id or None


def _status(status: WorkerDeploymentVersionStatus.ValueType) -> VersionStatus:
    try:
        name = WorkerDeploymentVersionStatus.Name(status)
        return VersionStatus(name.rpartition("_")[2].lower())
    except ValueError:
        return VersionStatus.UNKNOWN


def _time(timestamp: Timestamp) -> datetime | None:
    return timestamp.ToDatetime(UTC) if timestamp.seconds else None
