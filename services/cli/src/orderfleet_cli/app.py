"""The Typer application with all commands."""

import sys
from importlib.metadata import version
from typing import Annotated, Final

import typer

from orderfleet_cli.commands import (
    backups,
    gateways,
    local,
    operate,
    orders,
    payload_keys,
    temporal,
    versions,
)
from orderfleet_cli.errors import WRONG_USAGE

_CODES: Final = (
    "Exit codes: 0 done; 1 failed or refused; 2 wrong usage or a wrong setting; "
    "3 the API, Temporal, Postgres or a gateway is unreachable; 130 Ctrl-C."
)

app = typer.Typer(
    name="orderfleet",
    epilog=_CODES,
    # Only this mode re-flows the paragraphs of a docstring.
    rich_markup_mode="markdown",
    # An expected failure is one line; a bug prints a plain traceback.
    pretty_exceptions_enable=False,
)


def _print_version(version_asked: bool) -> None:
    if version_asked:
        typer.echo(f"orderfleet {version('orderfleet-cli')}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def orderfleet(
    context: typer.Context,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Run Orderfleet on this machine, place and follow orders, and operate a fleet.

    The fleet is the one that `orderfleet up` runs in this directory, or the one that the
    environment names: ORDERFLEET_URL, ORDERFLEET_API_KEY; TEMPORAL_ADDRESS (and the other
    TEMPORAL_* names) and DATABASE_URL for `describe`, `history`, `versions`, `forget` and `doctor`;
    `backup` and `restore` need the DATABASE_URL of its owner.
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(WRONG_USAGE)
    from orderfleet_cli.env_file import load_environment

    load_environment()


for group in (orders, temporal, versions, operate, backups, payload_keys, gateways, local):
    app.add_typer(group.commands)


def run() -> int:
    """Run the command line and return its exit code."""
    try:
        # Not standalone: there, Typer prints an error as a box of several lines.
        status = app(standalone_mode=False)
    except typer.TyperException as error:
        context = getattr(error, "ctx", None)
        hint = f" (see `{context.command_path} --help`)" if context else ""
        message = " ".join(error.format_message().split())
        print(f"orderfleet: {message}{hint}", file=sys.stderr)
        return error.exit_code
    return status if isinstance(status, int) else 0
