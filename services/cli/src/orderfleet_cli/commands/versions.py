"""See and change which builds of the workers take which orders."""

from typing import Annotated

import typer

from orderfleet_cli.commands.options import AsJson, asynchronous, examples
from orderfleet_cli.commands.temporal import WorkflowId
from orderfleet_cli.errors import UsageError

commands = typer.Typer()
group = typer.Typer()
commands.add_typer(group, name="versions")


@group.callback(
    invoke_without_command=True,
    epilog=examples("orderfleet versions", "orderfleet versions --json"),
)
def versions(context: typer.Context, as_json: AsJson = False) -> None:
    """Show which builds of the workers take which orders; change it by a command below.

    Each build with its share of the new orders, its pollers (workers that asked for tasks within
    the last 90 s) and the open orders that end on it.
    """
    if context.invoked_subcommand is None:
        _show_versions(as_json=as_json)


@asynchronous
async def _show_versions(*, as_json: bool) -> None:
    from orderfleet_cli.versions.show import show_versions

    await show_versions(as_json=as_json)


@group.command(
    epilog=examples(
        "orderfleet versions promote 0123456789ab",
        "orderfleet versions promote --unversioned",
    )
)
@asynchronous
async def promote(
    build: Annotated[
        str, typer.Argument(metavar="[BUILD]", help="Build that polls.", show_default=False)
    ] = "",
    unversioned: Annotated[
        bool,
        typer.Option(
            "--unversioned",
            help="Let workers without versioning take the new orders of both queues.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Let a build take all new orders of its queue, and end its ramp and any other.

    Orders under way end on the build on which they began. Use --unversioned after versioning was
    turned off: until then new orders wait for the last current build.
    """
    from orderfleet_cli.versions.route import promote_build, promote_unversioned

    if unversioned == bool(build):
        raise UsageError("promote needs a BUILD or --unversioned")
    if unversioned:
        await promote_unversioned(as_json=as_json)
    else:
        await promote_build(build, as_json=as_json)


@group.command(epilog=examples("orderfleet versions rollback"))
@asynchronous
async def rollback(as_json: AsJson = False) -> None:
    """Take new orders away from the latest build.

    If a build is ramping, end the ramp. Otherwise each queue's new orders go to the build that was
    current before, if workers of it still poll.
    """
    from orderfleet_cli.versions.route import roll_back

    await roll_back(as_json=as_json)


@group.command(
    epilog=examples(
        "orderfleet versions pin order-1",
        "orderfleet versions pin order-1/shipping/1 0123456789ab",
    )
)
@asynchronous
async def pin(
    workflow_id: WorkflowId,
    build: Annotated[
        str,
        typer.Argument(
            metavar="[BUILD]", help="Build; by default the current one.", show_default=False
        ),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Move an open order to another build, where it replays its history and ends.

    For an order that stands still, as its build fails or nobody polls for it. Its shipping is a
    workflow of its own.
    """
    from orderfleet_cli.versions.pin import pin_workflow

    await pin_workflow(workflow_id, build, as_json=as_json)
