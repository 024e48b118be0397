"""A password that is not in DATABASE_URL but in PGPASSWORD, as the Helm chart gives it."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from orderfleet.settings import CommonSettings
from orderfleet.store.health import schema_version
from orderfleet.store.migrate import migrations
from orderfleet.store.pool import Pool, open_pool
from orderfleet.wait import wait
from tests.e2e.support.programs import run_program
from tests.integration.support.fleet import eventually
from tests.integration.support.servers import Servers

_RIGHT = "riddle"
_NEWEST = migrations()[-1][0]


async def _asked_for_password(url: str) -> bool:
    try:
        await (await asyncpg.connect(url)).close()
    except asyncpg.InvalidPasswordError:
        return True
    return False


@contextmanager
def _first_rule(file: str, rule: str) -> Iterator[None]:
    rules = Path(file)
    others = rules.read_text()
    rules.write_text(f"{rule}\n{others}")
    try:
        yield
    finally:
        rules.write_text(others)


@pytest.fixture
async def role(owner: Pool, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """Make a role that needs a password, on a server that otherwise trusts whoever connects."""
    monkeypatch.delenv("PGPASSWORD", raising=False)
    name = f"role_{uuid4().hex}"
    await owner.execute(f"CREATE ROLE {name} SUPERUSER LOGIN PASSWORD '{_RIGHT}'")
    with _first_rule(await owner.fetchval("SHOW hba_file"), f"host all {name} all scram-sha-256"):
        await owner.execute("SELECT pg_reload_conf()")
        yield name
    await owner.execute("SELECT pg_reload_conf()")


async def test_pool_and_migrations_take_the_password_from_the_environment(
    servers: Servers, role: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with servers.database(migrated=False) as empty:
        url = empty.owner_url.replace("//postgres@", f"//{role}@")

        async def asked() -> bool:
            return await _asked_for_password(url)

        await eventually(asked)
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
