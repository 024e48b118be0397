"""The connection pool."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import asyncpg
import msgspec
import structlog

if TYPE_CHECKING:
    # Generic only in the type stubs, plain classes at run time.
    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record]
    Pooled: TypeAlias = asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
    AsyncpgPool: TypeAlias = asyncpg.Pool[asyncpg.Record]
else:
    Connection: TypeAlias = asyncpg.Connection
    Pooled: TypeAlias = asyncpg.pool.PoolConnectionProxy
    AsyncpgPool: TypeAlias = asyncpg.Pool

log = structlog.stdlib.get_logger(__name__)

# What "Postgres is away" looks like; all else is a bug or bad data.
UNAVAILABLE: Final = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.InterfaceError,
    # A statement between the server's last word on a connection and the end of it: "cannot switch
    # to state 12; another operation (2) is in progress".
    asyncpg.InternalClientError,
)

# A statement of the fleet takes a few milliseconds; one that takes longer than an activity may
# run would only hold a connection and a row lock.
STATEMENT_SECONDS: Final = 2.5
# What Postgres' own binary form of a jsonb begins with, before the JSON itself.
_JSONB_VERSION: Final = b"\x01"
# How long a connection is lent anew before asyncpg's pool looks at its age and use.
_KEPT_SECONDS: Final = 60.0
# asyncpg's own bound of the time without use, after which something on the way may have dropped it.
_OLD_SECONDS: Final = 300.0


class Pool:
    """Lends a connection for each statement.

    asyncpg's pool makes the connections, mends and closes them; but its loan takes a fifth of a
    statement's CPU, as it makes a task for each return. So a connection that comes back sound is
    kept here and lent again.
    """

    def __init__(self, pool: AsyncpgPool) -> None:
        self._pool = pool
        self._free = asyncio.Semaphore(pool.get_max_size())
        # The last one back is the first one lent. With each: when asyncpg's pool gave it.
        self._kept: list[tuple[float, Pooled]] = []

    async def execute(self, query: str, *args: Any) -> str:
        """Execute a statement and return its tag."""
        async with self.acquire() as connection:
            return await connection.execute(query, *args)

    async def fetch(self, query: str, *args: Any) -> list[asyncpg.Record]:
        """Return all rows."""
        async with self.acquire() as connection:
            return await connection.fetch(query, *args)

    async def fetchrow(self, query: str, *args: Any) -> asyncpg.Record | None:
        """Return the first row, if there is one."""
        async with self.acquire() as connection:
            return await connection.fetchrow(query, *args)

    async def fetchval(self, query: str, *args: Any) -> Any:
        """Return the first value of the first row, or None."""
        async with self.acquire() as connection:
            return await connection.fetchval(query, *args)

    def acquire(self) -> "_Loan":
        """Lend a connection for the block."""
        return _Loan(self)

    async def lend(self) -> tuple[float, Pooled]:
        """Wait for a connection; return since when it is not asyncpg's, and the connection."""
        await self._free.acquire()
        try:
            now = time.monotonic()
            while self._kept:
                since, connection = self._kept.pop()
                if not _sound(connection):
                    # It broke while it was kept.
                    await self._pool.release(connection)
                elif now - since < _OLD_SECONDS:
                    return since, connection
                else:
                    connection.terminate()
            return now, await self._pool.acquire()
        except BaseException:
            self._free.release()
            raise

    async def take_back(self, since: float, connection: Pooled, *, failed: bool) -> None:
        """Take a connection back: to lend it again, or for asyncpg's pool to see to it."""
        try:
            kept = time.monotonic() - since < _KEPT_SECONDS and not self._pool.is_closing()
            if kept and not failed and _sound(connection):
                self._kept.append((since, connection))
            else:
                await self._pool.release(connection)
        finally:
            self._free.release()

    async def close(self) -> None:
        """Close the connections, each once it has come back."""
        while self._kept:
            await self._pool.release(self._kept.pop()[1])
        await self._pool.close()

    def terminate(self) -> None:
        """Close the connections whatever they do."""
        self._pool.terminate()

    def get_size(self) -> int:
        """Return how many connections there are."""
        return self._pool.get_size()

    def get_idle_size(self) -> int:
        """Return how many of them are not lent."""
        return self._pool.get_idle_size() + len(self._kept)

    def get_max_size(self) -> int:
        """Return how many there may be."""
        return self._pool.get_max_size()


class _Loan:
    """A connection of a pool, for the time of a block.

    `contextlib` would take 11 us where asyncpg's loan takes 30.
    """

    __slots__ = ("_connection", "_pool", "_since")

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def __aenter__(self) -> Pooled:
        self._since, self._connection = await self._pool.lend()
        return self._connection

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._pool.take_back(self._since, self._connection, failed=kind is not None)


def _sound(connection: Pooled) -> bool:
    """Tell whether a connection can be lent again as it is."""
    try:
        return not connection.is_closed() and not connection.is_in_transaction()
    except asyncpg.InterfaceError:
        # asyncpg's pool has heard of its end, and has it back.
        return False


@asynccontextmanager
async def open_pool(
    url: str,
    *,
    size: int,
    wait_seconds: float,
    lazy: bool = False,
    connection_class: type[Connection] = asyncpg.Connection,
) -> AsyncIterator[Pool]:
    """Open a pool and close it at the end; wait up to `wait_seconds` for Postgres to come up.

    A lazy pool connects at its first statement. The class of its connections is where statements
    can be watched.

    Raises:
        TimeoutError: Postgres did not let us in in time.
    """
    pool = await _connect(
        url.replace("+asyncpg", "", 1), size, wait_seconds, 0 if lazy else 1, connection_class
    )
    try:
        yield pool
    finally:
        # A connection that hangs must not hold up the exit.
        try:
            async with asyncio.timeout(STATEMENT_SECONDS):
                await pool.close()
        except TimeoutError:
            pool.terminate()


async def leave_session(_: Connection) -> None:
    """Leave a connection as it is: no statement of the fleet changes its session.

    By default asyncpg resets it after each statement, by another one that the caller waits for.
    """


async def _connect(
    url: str, size: int, wait_seconds: float, min_size: int, connection_class: type[Connection]
) -> Pool:
    deadline = asyncio.get_running_loop().time() + wait_seconds
    pause = 0.1
    while True:
        try:
            return Pool(
                await asyncpg.create_pool(
                    url,
                    min_size=min_size,
                    max_size=size,
                    init=set_codecs,
                    reset=leave_session,
                    connection_class=connection_class,
                    command_timeout=STATEMENT_SECONDS,
                    timeout=STATEMENT_SECONDS,
                )
            )
        except (*UNAVAILABLE, asyncpg.PostgresError) as error:
            # A role or a database that is not there yet is being made by the migrations.
            if asyncio.get_running_loop().time() + pause > deadline:
                message = f"Postgres did not let us in within {wait_seconds:g} s: {error}"
                raise TimeoutError(message) from error
            log.warning("waiting for Postgres", error=str(error) or type(error).__name__)
            await asyncio.sleep(pause)
            pause = min(pause * 2, 2.0)


async def set_codecs(connection: Connection) -> None:
    """Read and write jsonb as Python's own values."""
    # Not as text, which a jsonb inside a record or an array of records does not come as.
    await connection.set_type_codec(
        "jsonb", encoder=_encode, decoder=_decode, schema="pg_catalog", format="binary"
    )


def _encode(value: Any) -> bytes:
    return _JSONB_VERSION + msgspec.json.encode(value)


def _decode(data: bytes) -> Any:
    return msgspec.json.decode(data.removeprefix(_JSONB_VERSION))
