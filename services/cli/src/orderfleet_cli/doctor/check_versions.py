"""Check that a build of the workers polls wherever orders go."""

from typing import Final

from temporalio.client import Client

from orderfleet.versions.view import UNVERSIONED, QueueView, VersionView, view_queue
from orderfleet_cli.doctor.finding import Finding
from orderfleet_cli.errors import CommandError
from orderfleet_cli.temporal.connection import call_temporal

# A gate has judged a build after 2 minutes: 45 s for its first pod, 20 s of replay, 60 s of orders.
_LONGEST_RAMP: Final = 300.0


async def check_versions(client: Client, task_queue: str) -> Finding:
    """Check the versions of a task queue."""
    try:
        queue = await call_temporal(view_queue(client, task_queue))
    except CommandError as error:
        name, fix = _name(task_queue), "see the message of Temporal"
        return Finding(name, ok=False, found=str(error), fix=fix)
    return judge(queue)


def judge(queue: QueueView) -> Finding:
    """Return the worst of what is wrong with the versions of a queue, or that they are well."""
    name = _name(queue.task_queue)
    if not queue.versions:
        return Finding(name, ok=True, found="off: no worker of this queue is versioned")
    for version in queue.versions:
        if version.share and not version.pollers:
            return Finding(name, ok=False, found=_unserved(version), fix=_fix_of_unserved(version))
    for version in queue.versions:
        if version.open_orders and not version.pollers:
            found = f"no worker polls for {version.open_orders} orders on build {version.build}"
            fix = "`orderfleet versions pin ORDER`, or start a worker of this build"
            return Finding(name, ok=False, found=found, fix=fix)
    ramp = queue.ramping
    if ramp and queue.ramp_seconds > _LONGEST_RAMP:
        found = f"{_ramp(ramp)} for {queue.ramp_seconds:.0f} s"
        fix = f"`orderfleet versions promote {ramp.build}`, or `orderfleet versions rollback`"
        return Finding(name, ok=False, found=found, fix=fix)
    current = f"build {queue.current.build} is current" if queue.current else "no build is current"
    return Finding(name, ok=True, found=f"{current}, {_ramp(ramp)}" if ramp else current)


def _name(task_queue: str) -> str:
    return f"versions of {task_queue}"


def _ramp(version: VersionView) -> str:
    return f"build {version.build} has been ramping with {version.share:.0%}"


def _unserved(version: VersionView) -> str:
    if version.build == UNVERSIONED:
        return "no build is current, and all workers are versioned: new orders wait"
    share = f"{version.share:.0%} of the new orders"
    return f"no worker of build {version.build} polls, which takes {share}"


def _fix_of_unserved(version: VersionView) -> str:
    if version.build == UNVERSIONED:
        return "`orderfleet versions promote BUILD`"
    return (
        "start a worker of this build, or `orderfleet versions promote` another that polls "
        "(`--unversioned` if versioning was turned off)"
    )
