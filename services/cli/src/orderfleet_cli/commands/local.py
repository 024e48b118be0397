"""`up`, `down`, `demo`: the whole system on this machine."""

import os
from pathlib import Path
from typing import Annotated, Final

import typer
from dotenv import dotenv_values

from orderfleet_cli.demo.run import DemoOptions, play
from orderfleet_cli.local import Fleet, FleetOptions, run_fleet
from orderfleet_cli.local.records import stop_left_over
from orderfleet_cli.local.running import StoppedError, run

DATA: Final = Path(".data")
DEMO_DATA: Final = DATA / "demo"
_INTERRUPTED: Final = 130


def register(app: typer.Typer) -> None:
    """Add the commands of this group."""
    app.command()(up)
    app.command()(down)
    app.command()(demo)


def up() -> None:
    """Start Postgres, Temporal, the API and the workers here, until Ctrl-C.

    The data stays in .data/. It always runs a Postgres and a Temporal of its own: DATABASE_URL
    and TEMPORAL_* are not used. Other settings come from the environment and from .env.
    """
    options = FleetOptions(data=DATA, env=dotenv(), durable=True, say=typer.echo)
    try:
        run(_stay(options))
    except StoppedError:
        typer.echo("stopped")


def down() -> None:
    """Stop what `up` or `demo` started here, also after a crash."""
    stopped = [name for data in (DEMO_DATA, DATA) for name in stop_left_over(data)]
    for name in stopped:
        typer.echo(f"stopped {name}")
    if not stopped:
        typer.echo("nothing to stop")


def demo(
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the servers running at the end, until Ctrl-C.")
    ] = False,
) -> None:
    """Fulfil real orders here, and others that fail in every way, and check the books.

    It starts with empty data in .data/demo and, like `up`, with servers of its own.
    """
    try:
        passed = run(play(DemoOptions(data=DEMO_DATA, env=dotenv(), keep=keep)))
    except StoppedError:
        raise typer.Exit(_INTERRUPTED) from None
    raise typer.Exit(0 if passed else 1)


def dotenv() -> dict[str, str]:
    """Return what .env says and the environment does not."""
    return {
        name: value
        for name, value in dotenv_values(".env").items()
        if value is not None and name not in os.environ
    }


async def _stay(options: FleetOptions) -> None:
    async with run_fleet(options) as fleet:
        typer.echo(addresses(fleet))
        typer.echo("Ctrl-C stops it.")
        await fleet.keep()


def addresses(fleet: Fleet) -> str:
    """Return where the fleet answers, one address a line."""
    return "\n".join(
        (
            f"API          {fleet.api_url}",
            f"API docs     {fleet.api_url}/docs",
            f"Temporal UI  {fleet.temporal_ui_url}",
            f"Temporal     {fleet.temporal_address}",
            f"Postgres     {fleet.database_url}",
            f"Logs         {fleet.data / 'logs'}",
        )
    )
