"""A backup of the fleet's database, and what its restore brings back."""

import asyncio
import os
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import asyncpg
import pytest

from orderfleet.domain.orders import OrderState
from orderfleet.store.forget import forget_order
from orderfleet.store.migrations import migrations
from orderfleet.store.pool import Pool, open_pool
from orderfleet.store.restores import pending_restore
from orderfleet.store.transitions import receive
from orderfleet_cli.backup.databases import make_database
from orderfleet_cli.backup.manifest import Kind, read_manifest
from orderfleet_cli.local.postgres import binaries
from tests.integration.support.books import books, put_order, put_payment
from tests.integration.support.fleet import an_order
from tests.integration.support.servers import Database, Servers
from tests.support.cli import Cli

_NEWEST: Final = migrations()[-1][0]


@asynccontextmanager
async def _owned(servers: Servers) -> AsyncIterator[Database]:
    """Create an empty database whose owner is no superuser, as in production."""
    role = f"owner_{uuid4().hex[:8]}"
    await servers._administer(f"CREATE ROLE {role} LOGIN PASSWORD '{role}'")
    try:
        async with servers.database(migrated=False) as made:
            await servers._administer(f"ALTER DATABASE {made.name} OWNER TO {role}")
            server = made.owner_url.rpartition("@")[2]
            yield replace(made, owner_url=f"postgresql://{role}:{role}@{server}")
    finally:
        await servers._administer(f"DROP ROLE {role}")


async def _rows(url: str) -> dict[str, Any]:
    async with open_pool(url, size=1, wait_seconds=0) as pool:
        record = await books(pool, "one")
        last = await pool.fetchval("SELECT max(id) FROM events")
        return {"books": record, "last": last}


async def test_a_restore_brings_back_rows_rights_and_a_sequence_ahead(
    servers: Servers, database: Database, owner: Pool, tmp_path: Path
) -> None:
    await put_order(owner, "one", OrderState.CHARGED)
    await put_payment(owner, "one", "captured")
    before = await _rows(database.owner_url)
    cli = Cli(tmp_path)
    done = await cli("backup", "monday", "--json", DATABASE_URL=database.owner_url)
    assert [dump["database"] for dump in done.json["dumps"]] == ["fleet"]
    manifest = read_manifest(tmp_path / "monday")
    assert manifest.dumps[0].bytes == (tmp_path / "monday" / "fleet.dump").stat().st_size
    async with _owned(servers) as other:
        # Twice: the second replaces what the first has brought.
        await cli("restore", "monday", DATABASE_URL=other.owner_url)
        again = await cli("backup", "tuesday", DATABASE_URL=other.owner_url)
        assert again.status == 0, again
        refused = await cli("restore", "tuesday", DATABASE_URL=other.owner_url)
        assert "is not empty: --replace removes what it has" in refused.error
        replaced = await cli("restore", "tuesday", "--replace", DATABASE_URL=other.owner_url)
        assert replaced.status == 0, replaced
        assert 'processing data for table "public.orders"' in replaced.out
        assert await _rows(other.owner_url) == before
        async with open_pool(other.url, size=2, wait_seconds=0) as pool:
            assert (restored := await pending_restore(pool))
            # Tuesday's backup has that the restore of Monday's is not reconciled yet.
            assert restored.since == read_manifest(tmp_path / "monday").dumps[0].taken_at
            # The fleet's role works, and has no more rights than before.
            assert await receive(pool, "two", an_order("pay-two"), {})
            assert await pool.fetchval("SELECT max(id) FROM events") > before["last"] + 10**9
            for statement in ("UPDATE events SET type = type", "SELECT record_restore(now())"):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await pool.execute(statement)
            assert await forget_order(pool, "one") is not None


async def test_a_database_in_use_is_not_restored(
    servers: Servers, database: Database, tmp_path: Path
) -> None:
    cli = Cli(tmp_path)
    done = await cli("backup", "monday", DATABASE_URL=database.owner_url)
    assert done.status == 0, done
    assert (await cli("restore", "monday", "--only", Kind.TEMPORAL)).status == 1
    async with _owned(servers) as other:
        connection = await asyncpg.connect(other.url)
        refused = await cli("restore", "monday", "--replace", DATABASE_URL=other.owner_url)
        assert "1 other sessions use" in refused.error
        await connection.close()


async def test_a_role_without_the_rights_gets_one_line(database: Database, tmp_path: Path) -> None:
    refused = await Cli(tmp_path)("backup", "monday", DATABASE_URL=database.url)
    assert "user may lack SELECT privilege" in refused.error
    assert not (tmp_path / "monday").exists()


async def test_the_chart_and_the_command_read_each_others_backups(
    servers: Servers, database: Database, owner: Pool, tmp_path: Path
) -> None:
    await put_order(owner, "one", OrderState.CHARGED)
    before = await _rows(database.owner_url)
    backups = tmp_path / "backups"
    backups.mkdir()
    cli = Cli(backups)
    async with servers.database(migrated=False) as other:
        assert not await _script("backup.sh", backups, database.owner_url, KEEP="1", RELEASE="9.9")
        [made] = backups.iterdir()
        assert read_manifest(made).orderfleet == "9.9"
        restored = await cli("restore", made.name, DATABASE_URL=other.owner_url)
        assert restored.status == 0, restored
        assert await _rows(other.owner_url) == before
        done = await cli("backup", "2999-01-01T00-00-00Z", DATABASE_URL=other.owner_url)
        assert done.status == 0, done
        # The newest one, over what is there.
        await owner.execute("DELETE FROM events")
        await owner.close()
        assert not await _script(
            "restore.sh", backups, database.owner_url, BACKUP="", schema=f"{_NEWEST}"
        )
        assert await _rows(database.owner_url) == before
    # KEEP is 1, and this one is older.
    assert not await _script("backup.sh", backups, database.owner_url, KEEP="1", RELEASE="9.9")
    assert [path.name for path in backups.iterdir()] == ["2999-01-01T00-00-00Z"]
    refused = await _script(
        "restore.sh", backups, database.owner_url, BACKUP="", schema=f"{_NEWEST - 1}"
    )
    assert f"has version {_NEWEST} of the schema, this release knows {_NEWEST - 1}" in refused
    async with open_pool(database.owner_url, size=1, wait_seconds=0):
        refused = await _script(
            "restore.sh", backups, database.owner_url, BACKUP="", schema=f"{_NEWEST}"
        )
    assert "1 sessions use the database fleet" in refused


async def _script(name: str, backups: Path, url: str, *, schema: str = "", **env: str) -> str:
    """Run a script of the chart as its pod does, but with another folder; return its errors."""
    chart = Path(__file__).parents[2] / "charts" / "orderfleet" / "files" / name
    temporary = backups.parent / "tmp"
    temporary.mkdir(exist_ok=True)
    (temporary / "schema").write_text(schema)
    text = chart.read_text().replace("/tmp/", f"{temporary}/")  # noqa: S108 (of the pod)
    text = text.replace(" /backups", f" {backups}").replace('"/backups', f'"{backups}')
    target = make_database(Kind.FLEET, url)
    process = await asyncio.create_subprocess_exec(
        *("sh", "-euc", text),
        stdin=DEVNULL,
        stderr=PIPE,
        env={
            "PATH": f"{binaries()}:{os.environ['PATH']}",
            "FLEET_URL": f"{target.url}?sslmode=disable",
            "FLEET_PASSWORD": target.password or "",
            **env,
        },
    )
    _, errors = await process.communicate()
    assert process.returncode == (1 if errors else 0), errors
    return errors.decode()
