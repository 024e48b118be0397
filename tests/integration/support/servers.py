"""The servers that integration tests share, and a database for each test."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import asyncpg

from orderfleet.store.migrations import migrate
from orderfleet_cli.local import Postgres, Temporal, run_postgres, run_temporal
from orderfleet_cli.local.ports import PortFinder
from orderfleet_cli.local.postgres import OWNER, ROLE

# The server deletes a workflow that closed just now after it has persisted that the closing is
# processed: 30 s later by default.
DELETES_SOON = {
    "history.transferProcessorUpdateAckInterval": "50ms",
    "history.visibilityProcessorUpdateAckInterval": "50ms",
}
# As a Temporal of somebody else: its workers poll four partitions of a queue.
_READS_FOUR = {"matching.numTaskqueueReadPartitions": 4}
_TEMPLATE = "migrated"
_MAINTENANCE = "postgres"


@dataclass(frozen=True)
class Database:
    """A database: `url` has the fleet's restricted role, `owner_url` the owner's."""

    url: str
    owner_url: str

    @property
    def name(self) -> str:
        return self.url.rpartition("/")[2]


@dataclass(frozen=True)
class Servers:
    """A running Postgres and a running Temporal."""

    postgres: Postgres
    temporal: Temporal

    @asynccontextmanager
    async def database(self, *, migrated: bool = True) -> AsyncIterator[Database]:
        """Create a database and drop it at the end: no test sees another test's orders."""
        name = f"test_{uuid4().hex}"
        template = _TEMPLATE if migrated else "template1"
        await self._administer(f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield Database(
                self.postgres.url(user=ROLE, database=name),
                self.postgres.url(user=OWNER, database=name),
            )
        finally:
            await self._administer(f"DROP DATABASE {name} WITH (FORCE)")

    async def _administer(self, statement: str) -> None:
        connection = await asyncpg.connect(self.postgres.url(database=_MAINTENANCE))
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


@asynccontextmanager
async def run_servers(data: Path) -> AsyncIterator[Servers]:
    """Run both servers on free ports."""
    find = PortFinder(print)
    ports = [find.take(purpose, 0) for purpose in ("Postgres", "Temporal", "Temporal's UI")]
    async with (
        run_postgres(data / "one", ports[0]) as postgres,
        run_temporal(data / "two", *ports[1:], config={**DELETES_SOON, **_READS_FOUR}) as temporal,
    ):
        await postgres.create_database(_TEMPLATE)
        await migrate(postgres.url(database=_TEMPLATE), ROLE)
        yield Servers(postgres, temporal)
