"""The Postgres of `make up` lets in who has a password: another user of this machine has none."""

import asyncio
import os
import shutil
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import asyncpg
import pytest

from orderfleet_cli.local import Postgres, run_postgres
from orderfleet_cli.local.postgres import DATABASE, OWNER, ROLE

_DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "development.md"
_NOBODY: Final = 65534
# What `make up` had before there were passwords.
_TRUST: Final = "host all all 127.0.0.1/32 trust\n"


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


@pytest.fixture
async def postgres(tmp_path: Path, unused_tcp_port: int) -> AsyncIterator[Postgres]:
    async with run_postgres(tmp_path, unused_tcp_port) as running:
        await running.create_database()
        yield running


@pytest.mark.parametrize("role", [OWNER, ROLE, "root", "nobody"])
@pytest.mark.parametrize("password", [None, "", "postgres", "orderfleet"])
async def test_nobody_is_let_in_without_the_password(
    postgres: Postgres, role: str, password: str | None
) -> None:
    with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
        await asyncpg.connect(
            host="127.0.0.1", port=postgres.port, user=role, password=password, database="postgres"
        )


async def test_the_fleets_role_neither_rules_the_server_nor_touches_files(
    postgres: Postgres, tmp_path: Path
) -> None:
    async with _connected(postgres.url(user=ROLE)) as connection:
        for statement in (
            f"COPY (SELECT 1) TO PROGRAM 'touch {tmp_path}/written'",
            f"COPY (SELECT 1) TO '{tmp_path}/written'",
            "SELECT pg_read_file('pg_hba.conf')",
            "SELECT rolpassword FROM pg_authid",
            "CREATE ROLE another",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
    assert not (tmp_path / "written").exists()


async def test_no_socket_and_no_lock_where_others_can_write(postgres: Postgres) -> None:
    async with _connected(postgres.url()) as connection:
        assert await connection.fetchval("SHOW unix_socket_directories") == ""
        assert await connection.fetchval("SHOW listen_addresses") == "127.0.0.1"


async def _ran(*argv: str) -> tuple[int | None, str, str]:
    child = await asyncio.create_subprocess_exec(*argv, stdout=PIPE, stderr=PIPE)
    out, err = await child.communicate()
    return child.returncode, out.decode(), err.decode()


@pytest.mark.skipif(shutil.which("psql") is None, reason="no psql on PATH")
async def test_the_command_that_is_told_opens_the_database(
    postgres: Postgres, tmp_path: Path
) -> None:
    password = urlsplit(postgres.url(user=ROLE)).password
    assert password
    assert password not in postgres.psql
    # As docs/development.md has it.
    documented = postgres.psql.replace(str(tmp_path), ".data").replace(
        f":{postgres.port}/", ":5432/"
    )
    assert f"\n{documented}\n" in _DOCUMENT.read_text()
    statement = "SELECT current_user, current_database()"
    status, out, _ = await _ran("sh", "-c", f"{postgres.psql} -Atc '{statement}'")
    assert (status, out) == (0, f"{ROLE}|{DATABASE}\n")


@pytest.mark.skipif(os.geteuid() != 0, reason="acts as another user: needs root")
async def test_another_user_reads_nothing_of_it(postgres: Postgres, tmp_path: Path) -> None:
    # What is above it may be closed too: only what the fleet itself closes counts here.
    for parent in tmp_path.parents[:-2]:
        parent.chmod(parent.stat().st_mode | 0o011)
    as_nobody = ("setpriv", f"--reuid={_NOBODY}", "--clear-groups")
    for command in (("cat", "pgpass"), ("ls", "."), ("cat", "logs/postgres.log")):
        status, out, err = await _ran(*as_nobody, command[0], str(tmp_path / command[1]))
        assert (status != 0, out) == (True, "")
        assert "Permission denied" in err


async def test_data_of_an_older_release_gets_passwords_and_is_kept(
    tmp_path: Path, unused_tcp_port: int
) -> None:
    async with run_postgres(tmp_path, unused_tcp_port, durable=True) as postgres:
        await postgres.create_database()
        async with _connected(postgres.url()) as connection:
            await connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
            await connection.execute(f"GRANT SELECT ON kept TO {ROLE}")
            await connection.execute(f"ALTER ROLE {OWNER} PASSWORD NULL")
            await connection.execute(f"ALTER ROLE {ROLE} PASSWORD NULL")
    (tmp_path / "pgpass").unlink()
    (tmp_path / "postgres" / "pg_hba.conf").write_text(_TRUST)
    async with run_postgres(tmp_path, unused_tcp_port, durable=True) as postgres:
        async with _connected(postgres.url(user=ROLE)) as connection:
            assert await connection.fetchval("SELECT one FROM kept") == 1
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(f"postgresql://{OWNER}@127.0.0.1:{postgres.port}/postgres")


@pytest.mark.parametrize("kept", ["", "127.0.0.1:*:*:postgres:old\n", "127.0.0.1:*:*:orderfl"])
async def test_lost_passwords_are_made_anew(
    tmp_path: Path, unused_tcp_port: int, kept: str
) -> None:
    async with run_postgres(tmp_path, unused_tcp_port) as postgres:
        before = postgres.url()
    (tmp_path / "pgpass").write_text(kept)
    async with run_postgres(tmp_path, unused_tcp_port) as postgres:
        async with _connected(postgres.url(database="postgres")) as connection:
            assert await connection.fetchval("SELECT current_user") == OWNER
        assert postgres.url() != before
