"""`up`, `down`, `demo`: the whole system on this machine."""

from typing import TYPE_CHECKING, Annotated

import typer

from orderfleet_cli.commands.options import examples
from orderfleet_cli.errors import FAILED
from orderfleet_cli.lazy import lazy

if TYPE_CHECKING:
    from orderfleet_cli import machine, running
else:
    machine = lazy("orderfleet_cli.machine")
    running = lazy("orderfleet_cli.running")


def register(app: typer.Typer) -> None:
    """Add the commands of this group."""
    app.command(epilog=examples("orderfleet up"))(up)
    app.command(epilog=examples("orderfleet down"))(down)
    app.command(epilog=examples("orderfleet demo", "orderfleet demo --keep"))(demo)


def up() -> None:
    """Start Postgres, Temporal, the API and the workers here, until Ctrl-C.

    The data stays in .data/, closed to other users. It always runs a Postgres and a Temporal of
    its own: DATABASE_URL and TEMPORAL_* are not used. Other settings come from the environment and
    from .env, which sets the product's own variables only.
    """
    machine.up()


def down() -> None:
    """Stop what `up` or `demo` started here, also after a crash."""
    machine.down()


def demo(
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the servers running at the end, until Ctrl-C.")
    ] = False,
) -> None:
    """Fulfil real orders here, and others that fail in every way, and check the books.

    It starts with empty data in .data/demo and, like `up`, with servers of its own.
    """
    if not running.run(machine.demo(keep=keep)):
        raise typer.Exit(FAILED)
