"""`backup` and `restore`: the fleet's database, and Temporal's where they are the fleet's own."""

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from orderfleet_cli.backup.manifest import Kind
from orderfleet_cli.commands.options import AsJson, asynchronous, examples

commands = typer.Typer()

Folder: TypeAlias = Annotated[Path, typer.Argument(metavar="FOLDER", show_default=False)]
Timeout: TypeAlias = Annotated[
    float,
    typer.Option("--timeout", min=1, max=86_400, help="Longest time for one database, in seconds."),
]


@commands.command(epilog=examples("orderfleet backup backups/monday"))
@asynchronous
async def backup(folder: Folder, longest: Timeout = 3600, as_json: AsJson = False) -> None:
    """Back up the fleet's database, and Temporal's if they are ours, into a new folder.

    The fleet may run. DATABASE_URL is the owner's, as for `orderfleet-migrate`; of the fleet that
    runs in this directory, nothing has to be set. Temporal's databases are those of
    ORDERFLEET_TEMPORAL_DATABASE_URL and ORDERFLEET_VISIBILITY_DATABASE_URL, or the file of the
    development server that `up` runs. The folder has addresses of customers, and no payload keys.
    """
    from orderfleet_cli.backup.backup import back_up

    await back_up(folder, seconds=longest, as_json=as_json)


@commands.command(
    epilog=examples(
        "orderfleet restore backups/monday --data .data --replace",
        "orderfleet restore backups/monday --only fleet",
    )
)
@asynchronous
async def restore(
    folder: Folder,
    only: Annotated[
        list[Kind] | None,
        typer.Option(help="Database to restore, repeatable; by default all.", show_default=False),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Restore into the data directory of `up`; by default, into the databases that the "
            "settings name.",
            show_default=False,
        ),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Remove what the databases contain now.")
    ] = False,
    longest: Timeout = 3600,
    as_json: AsJson = False,
) -> None:
    """Restore a backup, with the API, the workers and Temporal stopped.

    First it checks the files, that this release knows the backup's schema, and that the databases
    are empty and not in use. The settings are those of `backup`. After the start, ReconcileOrders
    finds what the backup lacks: see docs/backup.md.
    """
    from orderfleet_cli.backup.restore import RestoreOptions
    from orderfleet_cli.backup.restore import restore as restore_backup

    options = RestoreOptions(only or (), data, replace, longest, as_json)
    await restore_backup(folder, options)
