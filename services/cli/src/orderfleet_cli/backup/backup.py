"""`orderfleet backup`: dump each database into a folder, which appears when it is complete."""

import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from orderfleet.settings import CommonSettings
from orderfleet.store.health import schema_version
from orderfleet_cli.backup.databases import (
    Database,
    check_distinct,
    connected,
    fleet_database,
    temporal_databases,
)
from orderfleet_cli.backup.manifest import Dump, Kind, Manifest, write_manifest
from orderfleet_cli.backup.programs import Say, find_program, run_program
from orderfleet_cli.errors import CommandError, UsageError
from orderfleet_cli.fleet_addresses import local_data
from orderfleet_cli.printing import show, show_json
from orderfleet_cli.private_files import file_errors, make_directory, private_umask
from orderfleet_cli.settings import read

SQLITE: Final = "temporal.db"
_LOCK_WAIT: Final = "10s"


async def back_up(folder: Path, *, seconds: float, as_json: bool) -> None:
    """Back up the databases into a new folder.

    Raises:
        UsageError: the folder exists, or a setting is wrong.
        UnreachableError: a database does not answer.
        CommandError: a dump failed, or took longer than `seconds`.
    """
    databases = [fleet_database(), *temporal_databases()]
    check_distinct(databases)
    say: Say = (lambda _: None) if as_json else show
    began = time.monotonic()
    with private_umask(), _new_folder(folder) as unfinished:
        dumps = []
        for database in databases:
            dump = await dump_database(database, unfinished, seconds=seconds, say=say)
            say(f"{dump.database}: {dump.bytes:,} bytes")
            dumps.append(dump)
        if len(databases) == 1 and (file := _local_temporal()):
            dumps.append(_copy_sqlite(file, unfinished))
            say(f"{Kind.TEMPORAL}: {dumps[-1].bytes:,} bytes, of the development server")
        # Read after the dump: a migration meanwhile makes the backup seem newer, never older.
        async with connected(databases[0]) as connection:
            schema = await schema_version(connection) or 0
        manifest = Manifest(schema, dumps)
        write_manifest(unfinished, manifest)
    if as_json:
        show_json(manifest)
    else:
        show(f"{folder}: complete, in {time.monotonic() - began:.1f} s")


async def dump_database(database: Database, folder: Path, *, seconds: float, say: Say) -> Dump:
    """Dump one database into a folder.

    Raises:
        UnreachableError: it does not answer.
        CommandError: the dump failed, or took too long.
    """
    async with connected(database) as connection:
        server = connection.get_server_version()
        taken_at: datetime = await connection.fetchval("SELECT clock_timestamp()")
    path = folder / f"{database.kind}.dump"
    say(f"{database.kind}: dumping {database.shown}")
    argv = (
        *(await find_program("pg_dump", server.major), "--format=custom", "--no-password"),
        *(f"--lock-wait-timeout={_LOCK_WAIT}", f"--file={path}", f"--dbname={database.url}"),
    )
    await run_program(argv, database.environment, seconds=seconds, say=lambda _: None)
    number = f"{server.major}.{server.minor}"
    return Dump(database.kind, path.name, taken_at, path.stat().st_size, f"PostgreSQL {number}")


@contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    """Make a folder that gets its name at the end of the block; remove it after an error."""
    if folder.exists():
        raise UsageError(f"{folder} exists: name a new folder")
    unfinished = folder.with_name(f"{folder.name}.unfinished")
    with file_errors():
        shutil.rmtree(unfinished, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
    make_directory(unfinished)
    try:
        yield unfinished
        with file_errors():
            unfinished.rename(folder)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def _local_temporal() -> Path | None:
    """Return the database of Temporal's development server, if `up` runs it in this directory."""
    data = local_data(read(CommonSettings).database_url)
    path = data / SQLITE if data else None
    return path if path and path.is_file() else None


def _copy_sqlite(file: Path, folder: Path) -> Dump:
    """Copy the database of a running development server, in one consistent state."""
    path = folder / SQLITE
    taken_at = datetime.now(UTC)
    try:
        with (
            closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as source,
            closing(sqlite3.connect(path)) as target,
        ):
            source.backup(target)
    except sqlite3.Error as error:
        raise CommandError(f"{file}: {error}") from None
    return Dump(
        Kind.TEMPORAL, SQLITE, taken_at, path.stat().st_size, f"SQLite {sqlite3.sqlite_version}"
    )
