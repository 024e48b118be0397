"""The commands `versions promote` and `versions rollback`: who takes the new orders."""

from collections.abc import Sequence

from msgspec import Struct
from temporalio.client import Client

from orderfleet.versions.deployments import (
    Deployment,
    Version,
    VersionStatus,
    describe_deployment,
    set_current,
    unset_ramp,
)
from orderfleet.versions.view import UNVERSIONED, QueueView
from orderfleet_cli.errors import CommandError
from orderfleet_cli.printing import show, show_json
from orderfleet_cli.temporal.connection import call_temporal, open_temporal
from orderfleet_cli.versions.show import task_queues, view_queues


class Route(Struct, frozen=True):
    """Which build takes the new orders of a queue from now on."""

    task_queue: str
    current: str


async def promote_build(build: str, *, as_json: bool) -> None:
    """Let a build take all new orders of its queue.

    Raises:
        CommandError: no worker of the build polls, or Temporal refuses it.
    """
    client = await open_temporal()
    routes = [
        await _promote(client, queue, Version(version.deployment, build))
        for queue in await view_queues(client)
        for version in queue.versions
        if version.build == build and version.pollers and version.deployment
    ]
    if not routes:
        queues = " or ".join(task_queues())
        raise CommandError(f"no worker of build {build} polls {queues}: see `orderfleet versions`")
    _show(routes, as_json=as_json)


async def promote_unversioned(*, as_json: bool) -> None:
    """Let workers without versioning take the new orders of both queues.

    Raises:
        CommandError: Temporal refuses it.
    """
    client = await open_temporal()
    routes = []
    for queue in await view_queues(client):
        for name in sorted({version.deployment for version in queue.versions} - {""}):
            await _promote(client, queue, Version(name, ""))
        routes.append(Route(queue.task_queue, UNVERSIONED))
    _show(routes, as_json=as_json)


async def roll_back(*, as_json: bool) -> None:
    """End all ramps; without a ramp go back to the builds that were current before.

    Raises:
        CommandError: there is no ramp, and no worker of such a build polls.
    """
    client = await open_temporal()
    queues = await view_queues(client)
    routes = [
        await _end_ramp(client, queue, queue.ramping.deployment)
        for queue in queues
        if queue.ramping
    ]
    if not routes:
        routes = [
            await _promote(client, queue, version)
            for queue in queues
            if (version := await _before(client, queue))
        ]
    if not routes:
        queues_shown = " or ".join(task_queues())
        raise CommandError(
            f"no build is ramping, and no worker of an earlier build polls {queues_shown}: "
            "deploy the earlier release (`helm rollback`)"
        )
    _show(routes, as_json=as_json)


async def _promote(client: Client, queue: QueueView, version: Version) -> Route:
    # Temporal keeps the share of another ramping version.
    if queue.ramping and queue.ramping.build != version.build:
        await _end_ramp(client, queue, version.deployment)
    deployment = await call_temporal(describe_deployment(client, version.deployment))
    if (deployment.current or "") != version.build:
        await call_temporal(set_current(client, version, token=deployment.token))
    return Route(queue.task_queue, version.build or UNVERSIONED)


async def _end_ramp(client: Client, queue: QueueView, name: str) -> Route:
    await call_temporal(unset_ramp(client, name))
    return Route(queue.task_queue, queue.current.build if queue.current else UNVERSIONED)


async def _before(client: Client, queue: QueueView) -> Version | None:
    """Return the version to go back to, if workers of it poll."""
    if queue.current is None or not queue.current.deployment:
        return None
    name = queue.current.deployment
    deployment = await call_temporal(describe_deployment(client, name))
    build = build_before(deployment)
    polled = {version.build for version in queue.versions if version.pollers}
    return Version(name, build) if build in polled else None


def build_before(deployment: Deployment) -> str:
    """Return the build that was current before the current one; empty if there is none.

    Only builds that are older: to roll back twice goes further back, not forth to a bad build.
    """
    current = next((v for v in deployment.versions if v.status is VersionStatus.CURRENT), None)
    before = [
        (version.last_current, version.version.build)
        for version in deployment.versions
        if current and version.created < current.created and version.last_current
    ]
    return max(before)[1] if before else ""


def _show(routes: Sequence[Route], *, as_json: bool) -> None:
    if as_json:
        show_json({"queues": routes})
        return
    for route in routes:
        unversioned = route.current == UNVERSIONED
        workers = "workers without versioning" if unversioned else f"build {route.current}"
        show(f"new orders of {route.task_queue} go to {workers}")
