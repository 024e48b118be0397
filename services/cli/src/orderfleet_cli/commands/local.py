"""`up`, `down`, `demo`: the whole system on this machine."""

from typing import Annotated

import typer

from orderfleet_cli.commands.options import asynchronous, examples
from orderfleet_cli.errors import FAILED

commands = typer.Typer()


@commands.command(epilog=examples("orderfleet up"))
def up() -> None:
    """Start Postgres, Temporal, the API and the workers here, until Ctrl-C.

    The data stays in .data/, which only this user can read. Postgres and Temporal are always its
    own: DATABASE_URL and TEMPORAL_* are ignored. Other settings come from the environment and from
    .env, which sets the product's own variables only.
    """
    from orderfleet_cli.up_down import run_until_stopped

    run_until_stopped()


@commands.command(epilog=examples("orderfleet down"))
def down() -> None:
    """Stop what `up` or `demo` started here, also after a crash."""
    from orderfleet_cli.up_down import stop_all

    stop_all()


@commands.command(epilog=examples("orderfleet demo", "orderfleet demo --keep"))
@asynchronous
async def demo(
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the servers running at the end, until Ctrl-C.")
    ] = False,
) -> None:
    """Fulfil real orders here, and others that fail in every way, and check the books.

    It starts with empty data in .data/demo and, like `up`, with servers of its own.
    """
    from orderfleet_cli.demo.play import play_demo

    if not await play_demo(keep=keep):
        raise typer.Exit(FAILED)
