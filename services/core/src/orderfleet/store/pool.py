"""The connection pool."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import asyncpg
import msgspec
import structlog

if TYPE_CHECKING:
    # Generic only in the type stubs, a plain class at run time.
    Pool: TypeAlias = asyncpg.Pool[asyncpg.Record]
    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record]
else:
    Pool: TypeAlias = asyncpg.Pool
    Connection: TypeAlias = asyncpg.Connection

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


async def _keep(_: Connection) -> None:
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
            return await asyncpg.create_pool(
                url,
                min_size=min_size,
                max_size=size,
                init=_prepare,
                reset=_keep,
                connection_class=connection_class,
                command_timeout=STATEMENT_SECONDS,
                timeout=STATEMENT_SECONDS,
            )
        except (*UNAVAILABLE, asyncpg.PostgresError) as error:
            # A role or a database that is not there yet is being made by the migrations.
            if asyncio.get_running_loop().time() + pause > deadline:
                message = f"Postgres did not let us in within {wait_seconds:g} s: {error}"
                raise TimeoutError(message) from error
            log.warning("waiting for Postgres", error=str(error) or type(error).__name__)
            await asyncio.sleep(pause)
            pause = min(pause * 2, 2.0)


async def _prepare(connection: Connection) -> None:
    # Not as text, which a jsonb inside a record or an array of records does not come as.
    await connection.set_type_codec(
        "jsonb", encoder=_encode, decoder=_decode, schema="pg_catalog", format="binary"
    )


def _encode(value: Any) -> bytes:
    return _JSONB_VERSION + msgspec.json.encode(value)


def _decode(data: bytes) -> Any:
    return msgspec.json.decode(data.removeprefix(_JSONB_VERSION))
