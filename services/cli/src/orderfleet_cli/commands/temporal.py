"""What Temporal knows of an order."""

from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from orderfleet_cli.commands.options import AsJson, examples
from orderfleet_cli.lazy import lazy

if TYPE_CHECKING:
    from orderfleet_cli import running
    from orderfleet_cli.temporal import description, events
else:
    running = lazy("orderfleet_cli.running")
    description = lazy("orderfleet_cli.temporal.description")
    events = lazy("orderfleet_cli.temporal.events")

WorkflowId: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="ID", help="The order's id, or ID/shipping/1, ID/refund.", show_default=False
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands of this group."""
    app.command(
        epilog=examples("orderfleet describe order-1", "orderfleet describe order-1/shipping/1")
    )(describe)
    app.command(
        epilog=examples("orderfleet history order-1", "orderfleet history order-1 --json > 1.json")
    )(history)


def describe(workflow_id: WorkflowId, as_json: AsJson = False) -> None:
    """Describe an order's workflow: status, run, times, pending activities and children."""
    running.run(description.describe(workflow_id, as_json=as_json))


def history(workflow_id: WorkflowId, as_json: AsJson = False) -> None:
    """Show a workflow's history, an event a line; with --json as a replayer reads it."""
    running.run(events.history(workflow_id, as_json=as_json))
