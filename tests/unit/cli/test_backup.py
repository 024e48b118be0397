"""A backup's folder and its databases' addresses, without Postgres."""

import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from orderfleet_cli.backup.databases import make_database
from orderfleet_cli.backup.manifest import (
    MANIFEST,
    SUMS,
    Dump,
    Kind,
    Manifest,
    read_manifest,
    write_manifest,
)
from orderfleet_cli.backup.programs import run_program
from orderfleet_cli.errors import CommandError
from tests.support.cli import NOWHERE, Cli


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    (tmp_path / "fleet.dump").write_bytes(b"rows")
    dump = Dump(Kind.FLEET, "fleet.dump", datetime.now(UTC), 4, "PostgreSQL 18.1")
    write_manifest(tmp_path, Manifest(7, [dump]))
    return tmp_path


def test_a_backup_is_read_as_it_was_written(backup: Path) -> None:
    manifest = read_manifest(backup)
    assert [dump.file for dump in manifest.dumps] == ["fleet.dump"]
    assert manifest.schema == 7


def _change(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b" ")


@pytest.mark.parametrize("name", ["fleet.dump", MANIFEST])
def test_a_changed_file_is_refused(backup: Path, name: str) -> None:
    _change(backup / name)
    with pytest.raises(CommandError, match=f"{name} does not have the checksum of {SUMS}"):
        read_manifest(backup)


@pytest.mark.parametrize("name", ["fleet.dump", MANIFEST, SUMS])
def test_a_missing_file_is_refused(backup: Path, name: str) -> None:
    (backup / name).unlink()
    with pytest.raises(CommandError, match=r"is missing|is no backup"):
        read_manifest(backup)


def test_a_format_of_a_later_release_is_refused(backup: Path) -> None:
    manifest = read_manifest(backup)
    write_manifest(backup, Manifest(manifest.schema, manifest.dumps, format=2))
    with pytest.raises(CommandError, match="format 2 is unknown here"):
        read_manifest(backup)


@pytest.mark.parametrize(
    ("url", "bare", "password"),
    [
        ("postgresql://me:p%40ss@db:5/x", "postgresql://me@db:5/x", "p@ss"),
        ("postgresql+asyncpg://me:a@one,two/x", "postgresql://me@one,two/x", "a"),
        (
            "postgresql://me@db/x?password=b&sslmode=require",
            "postgresql://me@db/x?sslmode=require",
            "b",
        ),
        ("postgresql://me@db/x", "postgresql://me@db/x", None),
    ],
)
def test_no_url_of_an_argument_has_a_password(url: str, bare: str, password: str | None) -> None:
    database = make_database(Kind.FLEET, url)
    assert database.url == bare
    assert database.environment.get("PGPASSWORD") == password


def test_the_password_of_one_database_does_not_go_to_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PGPASSWORD", "the fleet's")
    assert "PGPASSWORD" not in make_database(Kind.TEMPORAL, "postgresql://t@db/t").environment


async def test_a_program_ends_in_time_with_its_first_error() -> None:
    progress: list[str] = []
    script = "import sys; print('x: one', file=sys.stderr); sys.exit('x: error: bad\\nmore')"
    with pytest.raises(CommandError, match="bad"):
        await run_program((sys.executable, "-c", script), {}, seconds=30, say=progress.append)
    assert "x: one" in progress
    with pytest.raises(CommandError, match=r"did not end within 0\.1 s"):
        await run_program(
            (sys.executable, "-c", "import time; time.sleep(60)"),
            {},
            seconds=0.1,
            say=progress.append,
        )


async def test_errors_are_one_line(tmp_path: Path, backup: Path) -> None:
    cli = Cli(tmp_path)
    assert (await cli("backup", "new")).error.startswith("fleet: 127.0.0.1:1/orderfleet: ")
    assert not (tmp_path / "new").exists()
    assert not (tmp_path / "new.unfinished").exists()
    assert (await cli("backup", str(backup))).error == f"{backup} exists: name a new folder"
    assert "is no backup" in (await cli("restore", str(tmp_path / "none"))).error
    assert (await cli("restore", str(backup), "--only", "temporal")).error == (
        "the backup has no temporal"
    )
    one = NOWHERE | {"ORDERFLEET_TEMPORAL_DATABASE_URL": "postgresql://t@127.0.0.1:1/t"}
    assert "set both or neither" in (await cli("backup", "new", **one)).error


async def test_a_backup_of_a_newer_schema_is_refused(tmp_path: Path, backup: Path) -> None:
    manifest = read_manifest(backup)
    write_manifest(backup, Manifest(999, manifest.dumps))
    refused = (await Cli(tmp_path)("restore", str(backup))).error
    assert refused.startswith("the backup has version 999 of the schema, this release knows ")
