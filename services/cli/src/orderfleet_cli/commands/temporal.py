"""Show an order's workflow and the workers, as Temporal has them."""

from typing import Annotated, TypeAlias

import typer

from orderfleet_cli.commands.options import AsJson, asynchronous, examples

WorkflowId: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="ID", help="The order's id, or ID/shipping/1, ID/refund.", show_default=False
    ),
]

commands = typer.Typer()


@commands.command(
    epilog=examples("orderfleet describe order-1", "orderfleet describe order-1/shipping/1")
)
@asynchronous
async def describe(workflow_id: WorkflowId, as_json: AsJson = False) -> None:
    """Describe an order's workflow: status, run, times, pending activities and children."""
    from orderfleet_cli.temporal.describe import show_description

    await show_description(workflow_id, as_json=as_json)


@commands.command(
    epilog=examples("orderfleet history order-1", "orderfleet history order-1 --json > 1.json")
)
@asynchronous
async def history(workflow_id: WorkflowId, as_json: AsJson = False) -> None:
    """Show a workflow's history, an event a line; with --json in the format of a replayer."""
    from orderfleet_cli.temporal.history import show_history

    await show_history(workflow_id, as_json=as_json)


@commands.command(epilog=examples("orderfleet workers", "orderfleet workers --json"))
@asynchronous
async def workers(as_json: AsJson = False) -> None:
    """Show each worker: its build, whether it drains, its slots and CPU, a second old."""
    from orderfleet_cli.temporal.workers import show_workers

    await show_workers(as_json=as_json)
