"""The command `versions pin`: move an order to another build."""

from temporalio.client import Client, WorkflowExecutionDescription

from orderfleet.versions.deployments import Version
from orderfleet.versions.override import pin_to
from orderfleet.versions.view import view_queue
from orderfleet_cli.errors import CommandError
from orderfleet_cli.printing import show, show_json
from orderfleet_cli.temporal.connection import call_temporal, open_temporal


async def pin_workflow(workflow_id: str, build: str, *, as_json: bool) -> None:
    """Move an open workflow to a build, by default to the current one of its queue.

    Raises:
        CommandError: there is no such open workflow or build, or its queue has no versions.
    """
    client = await open_temporal()
    described = await call_temporal(client.get_workflow_handle(workflow_id).describe())
    version = await _version(client, described, build)
    await call_temporal(pin_to(client, workflow_id, described.run_id or "", version))
    if as_json:
        show_json({"workflow_id": workflow_id, "build": version.build})
    else:
        show(f"{workflow_id} goes on with build {version.build}")


async def _version(client: Client, described: WorkflowExecutionDescription, build: str) -> Version:
    queue = await call_temporal(view_queue(client, described.task_queue))
    names = [version for version in queue.versions if version.deployment]
    if not names:
        raise CommandError(f"{described.task_queue} has no versions: no build can be chosen")
    if build:
        own = next((version for version in names if version.build == build), names[0])
        return Version(own.deployment, build)
    if queue.current is None or not queue.current.deployment:
        raise CommandError(f"no build of {described.task_queue} is current: name a BUILD")
    return Version(queue.current.deployment, queue.current.build)
