"""A Postgres that fails: its processes are stopped, or it is read-only."""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import asyncpg

from orderfleet.store.migrations import migrate
from orderfleet_cli.local import Postgres, run_postgres
from orderfleet_cli.local.ports import PortFinder
from orderfleet_cli.local.postgres import OWNER, ROLE
from tests.integration.support.fleet import eventually
from tests.integration.support.servers import Database

_READ_ONLY: Final = "default_transaction_read_only"


async def administer(owner_url: str, *statements: str) -> Any:
    """Execute statements on a new connection; return the first value of the last statement."""
    connection = await asyncpg.connect(owner_url)
    try:
        return [await connection.fetchval(statement) for statement in statements][-1]
    finally:
        await connection.close()


@asynccontextmanager
async def standing_still(owner_url: str) -> AsyncIterator[None]:
    """Stop all its processes: the kernel accepts connections, and nothing answers."""
    directory = Path(await administer(owner_url, "SHOW data_directory"))
    backends = await administer(owner_url, "SELECT array_agg(pid) FROM pg_stat_activity")
    pids = [int((directory / "postmaster.pid").read_text().splitlines()[0]), *backends]
    try:
        _signal(pids, signal.SIGSTOP)
        yield
    finally:
        _signal(pids, signal.SIGCONT)


@asynccontextmanager
async def read_only(owner_url: str) -> AsyncIterator[None]:
    """Make it read-only, open sessions included."""
    reload = "SELECT pg_reload_conf()"
    await administer(owner_url, f"ALTER SYSTEM SET {_READ_ONLY} = on", reload)
    try:
        await eventually(lambda: _is_read_only(owner_url, "on"))
        yield
    finally:
        await administer(owner_url, f"ALTER SYSTEM RESET {_READ_ONLY}", reload)
        await eventually(lambda: _is_read_only(owner_url, "off"))


async def _is_read_only(owner_url: str, wanted: str) -> bool:
    return bool(await administer(owner_url, "SHOW transaction_read_only") == wanted)


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        # A backend ends when its client disconnects.
        with suppress(ProcessLookupError):
            os.kill(pid, number)


@dataclass(frozen=True)
class OwnPostgres:
    """A server that only one test uses, with a migrated database."""

    postgres: Postgres
    database: Database
    directory: Path

    @asynccontextmanager
    async def read_only(self) -> AsyncIterator[None]:
        async with read_only(self.database.owner_url):
            yield

    @asynccontextmanager
    async def demoted(self) -> AsyncIterator[None]:
        """Make it a standby, as a failover does with the old primary; promote it at the end."""
        await self.postgres.process.stop()
        (self.directory / "standby.signal").touch()
        await self.postgres.process.start()
        try:
            yield
        finally:
            await administer(self.database.owner_url, "SELECT pg_promote()")
            await eventually(lambda: _is_read_only(self.database.owner_url, "off"))


@asynccontextmanager
async def run_own_postgres(data: Path) -> AsyncIterator[OwnPostgres]:
    """Run a server on a free port."""
    async with run_postgres(data, PortFinder(print).take("Postgres", 0)) as postgres:
        await postgres.create_database()
        await migrate(postgres.url(), ROLE)
        database = Database(postgres.url(user=ROLE), postgres.url(user=OWNER))
        yield OwnPostgres(postgres, database, data / "postgres")
