"""A password that is not in DATABASE_URL but in PGPASSWORD, as the Helm chart gives it."""

from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from orderfleet.settings import CommonSettings
from orderfleet.store.health import schema_version
from orderfleet.store.migrate import migrations
from orderfleet.store.pool import Pool, open_pool
from orderfleet.wait import wait
from tests.e2e.support.programs import run_program
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
