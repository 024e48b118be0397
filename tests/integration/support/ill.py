"""A Postgres of a test's own that falls ill: its processes stand still, or it takes no writes."""

import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg

from orderfleet.store.migrate import migrate
from orderfleet_cli.local import Postgres, run_postgres
from orderfleet_cli.local.ports import PortFinder
from orderfleet_cli.local.postgres import OWNER, ROLE
from tests.integration.support.fleet import eventually
from tests.integration.support.servers import Database

_READ_ONLY: Final = "default_transaction_read_only"


@dataclass(frozen=True)
class IllPostgres:
    """A server with a migrated database."""

    postgres: Postgres
    database: Database
    directory: Path

    @asynccontextmanager
    async def stopped(self) -> AsyncIterator[None]:
        """Let nothing of it run: it takes connections, as the kernel does, and says no word."""
        connection = await asyncpg.connect(self.database.owner_url)
        backends = await connection.fetch("SELECT pid FROM pg_stat_activity")
        await connection.close()
        postmaster = int((self.directory / "postmaster.pid").read_text().splitlines()[0])
        with _stopped([postmaster, *(row["pid"] for row in backends)]):
            yield

    @asynccontextmanager
    async def read_only(self) -> AsyncIterator[None]:
        """Let it take no writes, also of the sessions that there are."""
        await self.administer(f"ALTER SYSTEM SET {_READ_ONLY} = on", "SELECT pg_reload_conf()")
        try:
            await eventually(self._takes_no_writes)
            yield
        finally:
            await self.administer(f"ALTER SYSTEM RESET {_READ_ONLY}", "SELECT pg_reload_conf()")
            await eventually(self._writable)

    @asynccontextmanager
    async def demoted(self) -> AsyncIterator[None]:
        """Make it a standby, as a failover does with the old primary, and promote it again."""
        await self.postgres.process.stop()
        (self.directory / "standby.signal").touch()
        await self.postgres.process.start()
        try:
            yield
        finally:
            await self.administer("SELECT pg_promote()")
            await eventually(self._writable)

    async def administer(self, *statements: str) -> None:
        """Execute statements as the owner."""
        connection = await asyncpg.connect(self.database.owner_url)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    async def _writable(self) -> bool:
        return not await self._takes_no_writes()

    async def _takes_no_writes(self) -> bool:
        connection = await asyncpg.connect(self.database.owner_url)
        try:
            return bool(await connection.fetchval("SHOW transaction_read_only") == "on")
        finally:
            await connection.close()


@contextmanager
def _stopped(pids: list[int]) -> Iterator[None]:
    try:
        _signal(pids, signal.SIGSTOP)
        yield
    finally:
        _signal(pids, signal.SIGCONT)


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        # One whose client has gone may have ended by now.
        with suppress(ProcessLookupError):
            os.kill(pid, number)


@asynccontextmanager
async def run_ill_postgres(data: Path) -> AsyncIterator[IllPostgres]:
    """Run one on a free port."""
    async with run_postgres(data, PortFinder(print).take("Postgres", 0)) as postgres:
        await postgres.create_database()
        await migrate(postgres.url(), ROLE)
        database = Database(postgres.url(user=ROLE), postgres.url(user=OWNER))
        yield IllPostgres(postgres, database, data / "postgres")
