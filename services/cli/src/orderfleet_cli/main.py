"""The command `orderfleet`."""

import typer

from orderfleet_cli.commands import local
from orderfleet_cli.errors import CommandError

app = typer.Typer(
    name="orderfleet",
    help="Run Orderfleet on this machine.",
    no_args_is_help=True,
    add_completion=False,
    # A traceback is for a bug: it comes plain, and an expected failure is one line.
    pretty_exceptions_enable=False,
)
local.register(app)


def main() -> None:
    """Run the command line."""
    try:
        app()
    except (CommandError, OSError) as error:
        typer.echo(f"orderfleet: {error}", err=True)
        raise SystemExit(1) from None
