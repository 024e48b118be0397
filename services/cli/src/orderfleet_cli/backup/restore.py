"""`orderfleet restore`: check a backup, then bring its databases back."""

import shutil
import time
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from orderfleet.environment import SettingsError
from orderfleet.runtime.migrate import MigrateSettings
from orderfleet.store.migrations import migrate, migrations
from orderfleet.store.pool import UNAVAILABLE, Connection
from orderfleet_cli.backup.backup import SQLITE
from orderfleet_cli.backup.databases import (
    Database,
    check_distinct,
    connected,
    fleet_database,
    make_database,
    temporal_databases,
)
from orderfleet_cli.backup.manifest import Dump, Kind, Manifest, read_manifest
from orderfleet_cli.backup.programs import Say, find_program, run_program
from orderfleet_cli.errors import CommandError, UnreachableError, UsageError
from orderfleet_cli.local.pid_files import lock_directory
from orderfleet_cli.local.ports import PortFinder
from orderfleet_cli.local.postgres import run_postgres
from orderfleet_cli.printing import one_line, show, show_json
from orderfleet_cli.private_files import file_errors, private_umask
from orderfleet_cli.settings import read

# Tables, views and sequences that belong neither to Postgres nor to an extension.
_RELATIONS: Final = """
SELECT count(*) FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' AND relkind IN ('r', 'p', 'v', 'm', 'S')
  AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_class.oid AND deptype = 'e')
"""
# The kind of another role's session is null to all but superusers; a server process has no user.
_SESSIONS: Final = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND usename IS NOT NULL
  AND coalesce(backend_type, 'client backend') = 'client backend'
"""
_SCHEMAS: Final = """
SELECT quote_ident(nspname) FROM pg_namespace
WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
"""
_RECORD: Final = "SELECT record_restore($1)"


@dataclass(frozen=True)
class RestoreOptions:
    """How to restore.

    Attributes:
        only: the databases to restore; none is all of the backup.
        data: the data directory of a fleet on this machine; None is the databases of the settings.
        replace: whether to remove what the databases contain.
        seconds: the longest time for one database.
        as_json: print JSON in place of progress.
    """

    only: Collection[Kind]
    data: Path | None
    replace: bool
    seconds: float
    as_json: bool


async def restore(folder: Path, options: RestoreOptions) -> None:
    """Restore a backup.

    Raises:
        UsageError: a setting is missing or wrong.
        UnreachableError: a database does not answer.
        CommandError: the backup is damaged or too new, or a database is in use or not empty.
    """
    say: Say = (lambda _: None) if options.as_json else show
    manifest = read_manifest(folder)
    dumps = _choose(manifest, options.only)
    say(f"{folder}: {len(dumps)} of {len(manifest.dumps)} databases, checksums are right")
    began = time.monotonic()
    with private_umask():
        async with _fleet(options) as fleet:
            targets = _targets(dumps, fleet, options)
            for database in targets.values():
                await _check_target(database, replace=options.replace)
            for dump in dumps:
                if dump.is_sqlite:
                    _restore_sqlite(folder / dump.file, options)
                else:
                    await _restore_dump(targets[dump.database], folder / dump.file, options, say)
                say(f"{dump.database}: restored")
            await _record(fleet, dumps)
    seconds = round(time.monotonic() - began, 1)
    since = min(dump.taken_at for dump in dumps)
    if options.as_json:
        names = [dump.database for dump in dumps]
        show_json({"restored": names, "since": since, "seconds": seconds})
    else:
        show(f"restored to {since:%Y-%m-%d %H:%M:%S} UTC in {seconds:g} s; start the fleet now")


def _choose(manifest: Manifest, only: Collection[Kind]) -> list[Dump]:
    dumps = [dump for dump in manifest.dumps if not only or dump.database in only]
    if missing := set(only) - {dump.database for dump in dumps}:
        raise CommandError(f"the backup has no {', '.join(sorted(missing))}")
    newest = migrations()[-1][0]
    if any(dump.database is Kind.FLEET for dump in dumps) and manifest.schema > newest:
        raise CommandError(
            f"the backup has version {manifest.schema} of the schema, this release knows {newest}: "
            f"restore it with release {manifest.orderfleet} or a newer one"
        )
    return dumps


@asynccontextmanager
async def _fleet(options: RestoreOptions) -> AsyncIterator[Database]:
    """Yield the fleet's database; of a data directory, with its Postgres running for the block."""
    if options.data is None:
        yield fleet_database()
        return
    with lock_directory(options.data):
        port = PortFinder(lambda _: None).take("Postgres", 0)
        async with run_postgres(options.data, port, durable=True) as postgres:
            await postgres.create_database()
            yield make_database(Kind.FLEET, postgres.url())


def _targets(
    dumps: Sequence[Dump], fleet: Database, options: RestoreOptions
) -> dict[Kind, Database]:
    """Return the databases to restore into.

    Raises:
        UsageError: one is missing.
    """
    wanted = {dump.database for dump in dumps if not dump.is_sqlite}
    if any(dump.is_sqlite for dump in dumps) and options.data is None:
        raise UsageError(f"{SQLITE} is of Temporal's development server: --data or --only fleet")
    databases = [fleet, *([] if options.data else temporal_databases())]
    check_distinct(databases)
    targets = {database.kind: database for database in databases if database.kind in wanted}
    if missing := wanted - targets.keys():
        names = ", ".join(sorted(missing))
        raise UsageError(
            f"no database to restore {names} into: set ORDERFLEET_TEMPORAL_DATABASE_URL and "
            "ORDERFLEET_VISIBILITY_DATABASE_URL, or --only fleet"
        )
    return targets


async def _check_target(database: Database, *, replace: bool) -> None:
    async with connected(database) as connection:
        if sessions := await connection.fetchval(_SESSIONS):
            raise CommandError(
                f"{database.kind}: {sessions} other sessions use {database.shown}: "
                "stop the API, the workers and Temporal first"
            )
        if not replace and await connection.fetchval(_RELATIONS):
            raise CommandError(
                f"{database.kind}: {database.shown} is not empty: --replace removes what it has"
            )


async def _restore_dump(database: Database, path: Path, options: RestoreOptions, say: Say) -> None:
    async with connected(database) as connection:
        server = connection.get_server_version().major
        program = await find_program("pg_restore", server)
        if options.replace:
            await _empty(connection)
    argv = (
        *(program, "--no-password", "--exit-on-error", "--single-transaction"),
        # The user owns what it restores, but not always an extension and its comment.
        *("--no-owner", "--no-comments", "--verbose", f"--dbname={database.url}", str(path)),
    )

    def progress(line: str) -> None:
        if line.startswith("processing data for table"):
            say(f"{database.kind}: {line}")

    await run_program(argv, database.environment, seconds=options.seconds, say=progress)


async def _empty(connection: Connection) -> None:
    """Remove all schemas of the database in one transaction."""
    async with connection.transaction():
        for row in await connection.fetch(_SCHEMAS):
            await connection.execute(f"DROP SCHEMA {row[0]} CASCADE")
        await connection.execute("CREATE SCHEMA public")
        await connection.execute("GRANT USAGE ON SCHEMA public TO PUBLIC")
        # As initdb has it: pg_dump would add its creation to the next backup otherwise.
        await connection.execute("ALTER SCHEMA public OWNER TO pg_database_owner")


@file_errors()
def _restore_sqlite(path: Path, options: RestoreOptions) -> None:
    if options.data is None:
        return
    target = options.data / SQLITE
    if target.exists() and not options.replace:
        raise CommandError(f"{target} exists: --replace removes it")
    for name in (f"{SQLITE}-wal", f"{SQLITE}-shm"):
        (options.data / name).unlink(missing_ok=True)
    unfinished = target.with_name(f"{SQLITE}.new")
    shutil.copyfile(path, unfinished)
    unfinished.replace(target)


async def _record(fleet: Database, dumps: Sequence[Dump]) -> None:
    """Migrate the fleet's database, and let ReconcileOrders know of the restore."""
    try:
        await migrate(fleet.login_url, read(MigrateSettings).database_role)
    except SettingsError as error:
        raise UsageError(one_line(str(error))) from None
    except UNAVAILABLE as error:
        raise UnreachableError(f"{fleet.kind}: {one_line(str(error))}") from None
    async with connected(fleet) as connection:
        await connection.fetchval(_RECORD, min(dump.taken_at for dump in dumps))
