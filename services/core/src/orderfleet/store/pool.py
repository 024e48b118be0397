"""The connection pool: asyncpg's, with a bound on every wait; and what "not now" looks like."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from contextvars import Context
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import msgspec
import structlog
from asyncpg.connect_utils import SessionAttribute
from asyncpg.connection import LoggedQuery

from orderfleet.polling import retry

if TYPE_CHECKING:
    # Generic only in the type stubs, plain classes at run time.
    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record]
    Pooled: TypeAlias = asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
    Acquired: TypeAlias = asyncpg.pool.PoolAcquireContext[asyncpg.Record]
    AsyncpgPool: TypeAlias = asyncpg.Pool[asyncpg.Record]
else:
    Connection: TypeAlias = asyncpg.Connection
    Pooled: TypeAlias = asyncpg.pool.PoolConnectionProxy
    Acquired: TypeAlias = asyncpg.pool.PoolAcquireContext
    AsyncpgPool: TypeAlias = asyncpg.Pool

log = structlog.stdlib.get_logger(__name__)

# Called after each statement of the fleet, in the context of its caller.
StatementObserver: TypeAlias = Callable[[LoggedQuery], None]

# "Not now": the statement is sound, and the same one may succeed later. A request is answered by
# 503, a step is tried again. All else (syntax, types, constraints, rights, a missing table, damaged
# data) does not go away by waiting: it is a bug, or needs a person.
UNAVAILABLE: Final = (
    # Nobody listens, no route, no such name, TLS refused, a wire cut. TimeoutError is an OSError.
    OSError,
    # Class 08: the connection broke, or a pgbouncer has no server for it. What Postgres says to
    # one who connects, whatever its code (a password rotated, a database not made yet), is made
    # one of these by `connect`.
    asyncpg.PostgresConnectionError,
    # 25006: a standby, or a primary that was made one.
    asyncpg.ReadOnlySQLTransactionError,
    # 25P04: the server's own limit, its statements' (57014) and its locks' (55P03) are below.
    asyncpg.TransactionTimeoutError,
    # Class 40: a deadlock, a conflict with another transaction or with a standby's recovery.
    asyncpg.TransactionRollbackError,
    # Class 53: connections, memory or disk are used up.
    asyncpg.InsufficientResourcesError,
    asyncpg.LockNotAvailableError,
    # Class 57: it stops, crashed, starts; a person or a limit cancelled the statement.
    asyncpg.OperatorInterventionError,
    # Class 58: its disk fails, which a failover mends.
    asyncpg.PostgresSystemError,
    # asyncpg's words for a connection that ended while it was lent, and for a pool that closes. For
    # a wrong use of it too, but that fails in every test.
    asyncpg.InterfaceError,
    # A statement between the server's last word on a connection and the end of it: "cannot switch
    # to state 12; another operation (2) is in progress". And types that a migration changed.
    asyncpg.InternalClientError,
)

# Whoever asks knows within these three together, 5 s: the wait for a connection, which may have to
# be opened; the statement; the wait until a statement that was given up has ended.
WAIT_SECONDS: Final = 2.0
# A statement of the fleet takes a few milliseconds; one that takes longer than an activity may
# run would only hold a connection and a row lock.
STATEMENT_SECONDS: Final = 2.5
_RELEASE_SECONDS: Final = 0.5

# What Postgres' own binary form of a jsonb begins with, before the JSON itself.
_JSONB_VERSION: Final = b"\x01"

# What asyncpg itself asks in the middle of a statement that is the first one with some type.
_ASYNCPGS_OWN: Final = ("typeinfo_tree", "set_config('jit'")


class Pool(AsyncpgPool):
    """asyncpg's pool, whose waits end and whose connections can write."""

    def __init__(
        self,
        url: str,
        *,
        size: int,
        lazy: bool,
        observers: Sequence[StatementObserver],
        on_connect: Callable[[bool], None],
    ) -> None:
        self._observers = observers
        self._on_connect = on_connect
        super().__init__(
            url,
            connect=self._open,
            init=self._prepare,
            reset=self._take_back,
            command_timeout=STATEMENT_SECONDS,
            init_size=0 if lazy else 1,
            # With a floor asyncpg opens connections in the background, and logs each failure by a
            # traceback in the name of whichever order was there.
            min_size=0,
            max_size=size,
            # asyncpg's own defaults, which only `create_pool` knows.
            max_queries=50_000,
            max_inactive_connection_lifetime=300.0,
            loop=None,
            connection_class=asyncpg.Connection,
            record_class=asyncpg.Record,
        )

    def acquire(self, *, timeout: float | None = WAIT_SECONDS) -> Acquired:
        """Lend a connection for the block; TimeoutError if there is none in time."""
        return super().acquire(timeout=timeout)

    async def release(
        self,
        connection: Pooled,
        *,
        timeout: float | None = _RELEASE_SECONDS,  # noqa: ASYNC109 (asyncpg's own)
    ) -> None:
        """Take a connection back; one that is not sound is closed.

        Not the caller's concern: the statement has completed or failed already.
        """
        with suppress(*UNAVAILABLE):
            await super().release(connection, timeout=timeout)

    async def _open(self, dsn: str | None = None, **options: Any) -> Connection:
        opened = False
        try:
            # In a context of its own: a connection outlives the order for which it was opened, and
            # what it says later is not that one's.
            opening = connect(dsn or "", **options)
            connection = await asyncio.create_task(opening, context=Context())
            opened = True
        finally:
            self._on_connect(opened)
        return connection

    async def _prepare(self, connection: Connection) -> None:
        await set_codecs(connection)
        connection.add_query_logger(self._observe)
        # asyncpg forgets it when a connection ends, just before the statement that ends with it.
        connection.add_termination_listener(lambda _: connection.add_query_logger(self._observe))

    def _observe(self, statement: LoggedQuery) -> None:
        if not any(mark in statement.query for mark in _ASYNCPGS_OWN):
            for observer in self._observers:
                observer(statement)

    async def _take_back(self, connection: Connection) -> None:
        """Leave the session as it is, which no statement of the fleet changes.

        By default asyncpg resets it after each statement, by another one that the caller waits for.
        """
        told = connection.get_settings()
        for setting in ("default_transaction_read_only", "in_hot_standby"):
            if getattr(told, setting, "off") == "on":
                # The server that has become so has all the others too. None of them is lent again.
                await self.expire_connections()


@asynccontextmanager
async def open_pool(
    url: str,
    *,
    size: int,
    wait_seconds: float,
    lazy: bool = False,
    observers: Sequence[StatementObserver] = (),
    on_connect: Callable[[bool], None] = lambda _: None,
) -> AsyncIterator[Pool]:
    """Open a pool and close it at the end; wait up to `wait_seconds` for Postgres to come up.

    Args:
        url: of Postgres; with several hosts, the first one that takes writes is used.
        size: most connections.
        wait_seconds: for the first connection.
        lazy: connect at the first statement.
        observers: called after each statement.
        on_connect: called after each try to open a connection; True if it was opened.

    Raises:
        TimeoutError: Postgres did not let us in in time.
    """
    make = partial(Pool, url, size=size, lazy=lazy, observers=observers, on_connect=on_connect)
    try:
        pool = await retry(
            # A pool that failed to connect cannot try again.
            lambda: _connected(make()),
            # A role or a database that does not exist yet: the migrations create it.
            on=UNAVAILABLE,
            seconds=wait_seconds,
            longest_pause=2.0,
            on_failure=log_waiting,
        )
    except UNAVAILABLE as error:
        message = f"Postgres did not let us in within {wait_seconds:g} s: {error}"
        raise TimeoutError(message) from error
    try:
        yield pool
    finally:
        # A connection that hangs must not hold up the exit: asyncpg then drops it.
        with suppress(*UNAVAILABLE):
            async with asyncio.timeout(STATEMENT_SECONDS):
                await pool.close()


async def _connected(pool: Pool) -> Pool:
    await pool
    return pool


def log_waiting(error: Exception) -> None:
    """Log why Postgres is not there yet."""
    log.warning("waiting for Postgres", error=str(error) or type(error).__name__)


async def connect(url: str, *, seconds: float = WAIT_SECONDS, **options: Any) -> Connection:
    """Connect to the first host of a URL that takes writes, within so many seconds in all.

    Raises:
        UNAVAILABLE: none does; the error is the last host's.
    """
    hosts = _hosts(url.replace("+asyncpg", "", 1))
    failures: list[Exception] = []
    for host in hosts:
        try:
            # One by one: asyncpg has one bound for all, which the first one that is silent uses up.
            return await asyncpg.connect(
                host,
                timeout=seconds / len(hosts),
                target_session_attrs=SessionAttribute.read_write,
                **options,
            )
        except TimeoutError:
            failures.append(TimeoutError(f"no answer within {seconds / len(hosts):g} s"))
        except asyncpg.TargetServerAttributeNotMatched:
            failures.append(asyncpg.ReadOnlySQLTransactionError("it takes no writes"))
        except asyncpg.PostgresError as error:
            failures.append(asyncpg.ClientCannotConnectError(str(error)))
            failures[-1].__cause__ = error
        except UNAVAILABLE as error:
            failures.append(error)
    raise failures[-1]


def _hosts(url: str) -> list[str]:
    """Return the URL once for each of its hosts."""
    parts = urlsplit(url)
    user, at, hosts = parts.netloc.rpartition("@")
    return [urlunsplit(parts._replace(netloc=f"{user}{at}{host}")) for host in hosts.split(",")]


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
