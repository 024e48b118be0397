"""A password in PGPASSWORD or in a file, and one that is rotated under way."""

import asyncio
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from litestar.plugins.problem_details import ProblemDetailsException
from temporalio.service import RPCError

from orderfleet.polling import retry
from orderfleet.runtime.wait import wait
from orderfleet.settings import CommonSettings
from orderfleet.store.health import schema_version
from orderfleet.store.migrations import migrations
from orderfleet.store.password import load_password
from orderfleet.store.pool import UNAVAILABLE, Pool, open_pool
from orderfleet_api import order_service
from orderfleet_api.backends import Backends
from tests.e2e.support.programs import run_program
from tests.integration.support.fleet import Fleet, an_order, new_id
from tests.integration.support.servers import Servers

_RIGHT = "riddle"
_NEWEST = migrations()[-1][0]


@pytest.fixture
async def role(owner: Pool, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.delenv("PGPASSWORD", raising=False)
    name = f"role_{uuid4().hex}"
    await owner.execute(f"CREATE ROLE {name} SUPERUSER LOGIN PASSWORD '{_RIGHT}'")
    return name


async def test_pool_and_migrations_take_the_password_from_the_environment(
    servers: Servers, role: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with servers.database(migrated=False) as empty:
        url = servers.postgres.url(user=role, database=urlsplit(empty.owner_url).path[1:])
        env = {"DATABASE_URL": url, "PGPASSWORD": _RIGHT}
        async with run_program("orderfleet-migrate", env=env) as program:
            assert await program.end() == 0, program.lines
        monkeypatch.setenv("PGPASSWORD", "wrong")
        with pytest.raises(TimeoutError, match="password authentication failed"):
            await wait(CommonSettings(database_url=url, start_wait_seconds=0), ["postgres"])
        monkeypatch.setenv("PGPASSWORD", _RIGHT)
        async with open_pool(
            url.replace("postgresql:", "postgresql+asyncpg:"), size=1, wait_seconds=0
        ) as pool:
            assert await schema_version(pool) == _NEWEST


async def test_a_password_that_is_rotated_under_way(fleet: Fleet, role: str, owner: Pool) -> None:
    url = fleet.database.owner_url
    login = urlsplit(url).netloc.rpartition("@")[0]
    url = url.replace(login, f"{role}:{_RIGHT}")
    order_id = new_id()
    order = an_order(f"pay-{order_id}")
    async with open_pool(url, size=2, wait_seconds=0) as pool:
        backends = Backends(pool, fleet.temporal, fleet.backends().settings)
        await owner.execute(f"ALTER ROLE {role} PASSWORD 'other'")
        async with pool.acquire() as connection:
            # Open connections keep working; new ones are refused.
            assert await connection.fetchval("SELECT 1") == 1
            with pytest.raises(ProblemDetailsException) as raised:
                await order_service.accept(backends, order_id, order)
            assert raised.value.status_code == HTTPStatus.SERVICE_UNAVAILABLE
            with pytest.raises(RPCError):
                await fleet.workflow(order_id).describe()
        await order_service.accept(backends, order_id, order)
        # Rotated to what this process has, it goes on without a restart.
        await owner.execute(f"ALTER ROLE {role} PASSWORD '{_RIGHT}'")
        async with pool.acquire():
            assert await pool.fetchval("SELECT 1") == 1
    await owner.execute(f"ALTER ROLE {role} PASSWORD 'other'")
    with pytest.raises(TimeoutError, match=r"within 0\.3 s: password auth"):
        async with open_pool(url, size=1, wait_seconds=0.3):
            pass


async def test_migrations_and_the_init_container_take_the_password_from_a_file(
    servers: Servers, role: str, tmp_path: Path
) -> None:
    path = tmp_path / "password"
    path.write_text(f"{_RIGHT}\n")
    async with servers.database(migrated=False) as empty:
        url = servers.postgres.url(user=role, database=urlsplit(empty.owner_url).path[1:])
        env = {"DATABASE_URL": url, "DATABASE_PASSWORD_FILE": str(path), "PGPASSWORD": "wrong"}
        async with run_program("orderfleet-migrate", env=env) as program:
            assert await program.end() == 0, program.lines
        settings = CommonSettings(database_url=url, database_password_file=str(path))
        await wait(settings, ["postgres"])
        path.unlink()
        async with run_program("orderfleet-migrate", env=env) as program:
            assert await program.end() == 2
        assert "DATABASE_PASSWORD_FILE: " in program.lines[-1]


@pytest.mark.parametrize("first", ["file", "server"])
async def test_a_file_and_the_server_change_one_after_the_other_under_a_flow_of_queries(
    fleet: Fleet, role: str, owner: Pool, tmp_path: Path, first: str
) -> None:
    path = tmp_path / "password"
    path.write_text(_RIGHT)
    login = urlsplit(fleet.database.owner_url).netloc.rpartition("@")[0]
    url = fleet.database.owner_url.replace(login, role)
    password = load_password(
        CommonSettings(database_url=url, database_password_file=str(path), start_wait_seconds=0)
    )
    ended = asyncio.Event()
    refusals: list[Exception] = []

    async def flow(pool: Pool) -> int:
        answers = 0
        while not ended.is_set():
            # As a step does within its attempt.
            await retry(
                lambda: pool.fetchval("SELECT 1"),
                on=UNAVAILABLE,
                seconds=4,
                on_failure=refusals.append,
            )
            answers += 1
            await asyncio.sleep(0.01)
        return answers

    async def alter(text: str) -> None:
        await owner.execute(f"ALTER ROLE {role} PASSWORD '{text}'")

    async def write(text: str) -> None:
        path.with_suffix(".new").write_text(text)
        path.with_suffix(".new").replace(path)

    changes = (write, alter) if first == "file" else (alter, write)
    async with open_pool(url, size=3, wait_seconds=0, password=password) as pool:
        flows = [asyncio.create_task(flow(pool)) for _ in range(4)]
        for text in ("second", "third"):
            for change in changes:
                await change(text)
                await owner.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1",
                    role,
                )
                await asyncio.sleep(1.5)
        ended.set()
        assert min(await asyncio.gather(*flows)) > 50
    refused = [error for error in refusals if "password authentication failed" in str(error)]
    # A process that has seen the new file still has the password before it.
    assert bool(refused) == (first == "server")


async def test_a_role_that_may_not_log_in_any_more(fleet: Fleet, role: str, owner: Pool) -> None:
    login = urlsplit(fleet.database.owner_url).netloc.rpartition("@")[0]
    url = fleet.database.owner_url.replace(login, f"{role}:{_RIGHT}")
    await owner.execute(f"ALTER ROLE {role} NOLOGIN")
    async with open_pool(url, size=1, wait_seconds=0, lazy=True) as pool:
        with pytest.raises(UNAVAILABLE):
            await pool.fetchval("SELECT 1")
