"""asyncpg's connection pool with a limit on every wait; the errors of an unavailable Postgres."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from contextvars import Context
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import asyncpg
import msgspec
import structlog
from asyncpg.connect_utils import SessionAttribute
from asyncpg.connection import LoggedQuery

from orderfleet.addresses import check_database_files, host_urls
from orderfleet.polling import retry
from orderfleet.settings import naming
from orderfleet.store.password import Password, with_password

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

# The statement is sound, and a retry may succeed: a request gets 503, a step is retried. For all
# other errors (syntax, types, constraints, rights, a missing table, corrupt data) a retry cannot
# help: they are bugs, or need a person.
UNAVAILABLE: Final = (
    # Connection refused or reset, no route, unknown host, TLS failure. TimeoutError is an OSError.
    OSError,
    # Class 08: the connection broke, or a pgbouncer has no server for it. `connect` turns every
    # error of a new connection into one of these: the password may be rotating, the database not
    # created yet.
    asyncpg.PostgresConnectionError,
    # 25006: a standby, or a primary that was demoted.
    asyncpg.ReadOnlySQLTransactionError,
    # 25P04, the server's transaction time-out; those of statements (57014) and locks (55P03) below.
    asyncpg.TransactionTimeoutError,
    # Class 40: a deadlock, a conflict with another transaction or with a standby's recovery.
    asyncpg.TransactionRollbackError,
    # Class 53: out of connections, memory or disk.
    asyncpg.InsufficientResourcesError,
    asyncpg.LockNotAvailableError,
    # Class 57: shutdown, crash, start; a person or a time-out cancelled the statement.
    asyncpg.OperatorInterventionError,
    # Class 58: I/O errors, which a failover solves.
    asyncpg.PostgresSystemError,
    # asyncpg's error for a connection that ended during its use, and for a pool that closes. Also
    # for wrong use of asyncpg, but that fails in every test.
    asyncpg.InterfaceError,
    # A statement after the server's last message on a connection and before its end: "cannot switch
    # to state 12; another operation (2) is in progress". Also types that a migration changed.
    asyncpg.InternalClientError,
)

# A caller gets an answer within the sum of these three, 5 s: the wait for a connection, which may
# have to be opened; the statement; the wait for the end of a cancelled statement.
WAIT_SECONDS: Final = 2.0
# A statement of the fleet takes a few milliseconds. Longer than an activity's time-out, it would
# only hold a connection and a row lock.
STATEMENT_SECONDS: Final = 2.5
_RELEASE_SECONDS: Final = 0.5

# Postgres' binary format of jsonb: this version, then the JSON.
_JSONB_VERSION: Final = b"\x01"

# asyncpg's own queries, in the middle of the first statement that uses a type.
_INTROSPECTION: Final = ("typeinfo_tree", "set_config('jit'")


class Pool(AsyncpgPool):
    """asyncpg's pool with a limit on every wait, of connections that accept writes."""

    def __init__(
        self,
        url: str,
        *,
        size: int,
        lazy: bool,
        password: Password | None,
        observers: Sequence[StatementObserver],
        on_connect: Callable[[bool], None],
    ) -> None:
        self._hosts = host_urls(url)
        self._password = password
        self._observers = observers
        self._on_connect = on_connect
        self._expiry: asyncio.Task[None] | None = None
        super().__init__(
            url,
            connect=self._open,
            init=self._prepare,
            reset=self._expire_if_read_only,
            command_timeout=STATEMENT_SECONDS,
            init_size=0 if lazy else 1,
            # With a minimum asyncpg opens connections in the background, and logs each failure with
            # a traceback in the context of an unrelated order.
            min_size=0,
            max_size=size,
            # asyncpg's defaults, which only `create_pool` has.
            max_queries=50_000,
            max_inactive_connection_lifetime=300.0,
            loop=None,
            connection_class=asyncpg.Connection,
            record_class=asyncpg.Record,
        )

    def acquire(self, *, timeout: float | None = WAIT_SECONDS) -> Acquired:
        """Check out a connection for the block; raise TimeoutError if none is free in time."""
        return super().acquire(timeout=timeout)

    async def release(
        self,
        connection: Pooled,
        *,
        timeout: float | None = _RELEASE_SECONDS,  # noqa: ASYNC109 (asyncpg's own)
    ) -> None:
        """Check a connection in; close it if it is broken.

        Errors are suppressed: the caller's statement has completed or failed already.
        """
        with suppress(*UNAVAILABLE):
            await super().release(connection, timeout=timeout)

    @asynccontextmanager
    async def dedicated(self) -> AsyncIterator[Connection]:
        """Open a connection beside the pool's for the block: one that listens.

        Raises:
            UNAVAILABLE: Postgres is unavailable.
        """
        connection = await self._open(command_timeout=STATEMENT_SECONDS)
        try:
            await self._prepare(connection)
            yield connection
        finally:
            with suppress(*UNAVAILABLE):
                await connection.close(timeout=_RELEASE_SECONDS)

    async def _open(self, dsn: str | None = None, **options: Any) -> Connection:  # noqa: ARG002
        opened = False
        try:
            # In a context of its own: a connection outlives the order that opened it, and must not
            # log in its name.
            opening = _connect_first(self._hosts, self._password, WAIT_SECONDS, options)
            connection, host = await asyncio.create_task(opening, context=Context())
            # The next connection begins with this host: those before it may be dead.
            self._hosts.sort(key=lambda other: other != host)
            opened = True
        finally:
            self._on_connect(opened)
        return connection

    async def _prepare(self, connection: Connection) -> None:
        await set_codecs(connection)
        connection.add_query_logger(self._observe)
        # asyncpg drops the logger when a connection ends, before it logs the failed statement.
        connection.add_termination_listener(lambda _: connection.add_query_logger(self._observe))

    def _observe(self, statement: LoggedQuery) -> None:
        if isinstance(statement.exception, asyncpg.ReadOnlySQLTransactionError):
            # A pooler does not report what a server has become.
            self._expiry = asyncio.create_task(self.expire_connections())
        if not any(mark in statement.query for mark in _INTROSPECTION):
            for observer in self._observers:
                observer(statement)

    async def _expire_if_read_only(self, connection: Connection) -> None:
        """Expire all connections, so that none is checked out again, if the server is read-only.

        In place of asyncpg's reset of the session, a statement for which the caller waits: no
        statement of the fleet changes the session.
        """
        if is_read_only(connection):
            # All other connections lead to the same server.
            await self.expire_connections()


@asynccontextmanager
async def open_pool(
    url: str,
    *,
    size: int,
    wait_seconds: float,
    lazy: bool = False,
    password: Password | None = None,
    observers: Sequence[StatementObserver] = (),
    on_connect: Callable[[bool], None] = lambda _: None,
) -> AsyncIterator[Pool]:
    """Open a pool for the block; wait up to `wait_seconds` for Postgres to come up.

    Args:
        url: of Postgres; of several hosts, the first that accepts writes.
        size: maximum of connections.
        wait_seconds: for the first connection.
        lazy: connect at the first statement.
        password: from a file, instead of the URL's and of PGPASSWORD.
        observers: called after each statement.
        on_connect: called after each attempt to open a connection; True if it was opened.

    Raises:
        SettingsError: a file that the URL names cannot be read.
        TimeoutError: Postgres did not accept a connection in time.
    """
    with naming("DATABASE_URL"):
        check_database_files(url)
    make = partial(
        Pool,
        url,
        size=size,
        lazy=lazy,
        password=password,
        observers=observers,
        on_connect=on_connect,
    )
    try:
        pool = await retry(
            # A pool that failed to connect cannot retry.
            lambda: _connected(make()),
            # Includes a role or database that does not exist yet: the migrations create it.
            on=UNAVAILABLE,
            seconds=wait_seconds,
            longest_pause=2.0,
            on_failure=log_waiting,
        )
    except UNAVAILABLE as error:
        message = f"cannot connect to Postgres within {wait_seconds:g} s: {error}"
        raise TimeoutError(message) from error
    try:
        yield pool
    finally:
        # A connection that hangs must not delay the exit; asyncpg then aborts it.
        with suppress(*UNAVAILABLE):
            async with asyncio.timeout(STATEMENT_SECONDS):
                await pool.close()


async def _connected(pool: Pool) -> Pool:
    await pool
    return pool


def log_waiting(error: Exception) -> None:
    """Log why there is no connection to Postgres yet."""
    log.warning("waiting for Postgres", error=str(error) or type(error).__name__)


async def connect(
    url: str, *, password: Password | None = None, seconds: float = WAIT_SECONDS
) -> Connection:
    """Connect to the first host of a URL that accepts writes, within `seconds` in total.

    Raises:
        UNAVAILABLE: no host does; the error is the last host's.
    """
    connection, _ = await _connect_first(host_urls(url), password, seconds, {})
    return connection


async def _connect_first(
    hosts: Sequence[str], password: Password | None, seconds: float, options: Mapping[str, Any]
) -> tuple[Connection, str]:
    """Return a connection to the first host that accepts writes, and that host."""
    failures: list[Exception] = []
    for host in tuple(hosts):
        # One by one: asyncpg's time-out is for all hosts, and a silent first one uses it up.
        allowed = seconds / len(hosts)
        open_one = partial(_connect, host, timeout=allowed, **options)
        try:
            if password is None:
                return await open_one(), host
            # The second half is for the last attempt.
            return await with_password(open_one, password, seconds=allowed / 2), host
        except TimeoutError:
            failures.append(TimeoutError(f"no answer within {allowed:g} s"))
        except asyncpg.TargetServerAttributeNotMatched:
            failures.append(asyncpg.ReadOnlySQLTransactionError("the server is read-only"))
        except asyncpg.PostgresError as error:
            failures.append(asyncpg.ClientCannotConnectError(str(error)))
            failures[-1].__cause__ = error
        except UNAVAILABLE as error:
            failures.append(error)
    raise failures[-1]


async def _connect(host: str, password: str | None = None, **options: Any) -> Connection:
    return await asyncpg.connect(
        host, password=password, target_session_attrs=SessionAttribute.read_write, **options
    )


def is_read_only(connection: Connection) -> bool:
    """Tell whether the server has reported that it became a standby or read-only."""
    server = connection.get_settings()
    settings = ("default_transaction_read_only", "in_hot_standby")
    return any(getattr(server, setting, "off") == "on" for setting in settings)


async def set_codecs(connection: Connection) -> None:
    """Read and write jsonb as Python's own values."""
    # Not as text: inside a record or an array of records jsonb is always binary.
    await connection.set_type_codec(
        "jsonb", encoder=_encode, decoder=_decode, schema="pg_catalog", format="binary"
    )


def _encode(value: Any) -> bytes:
    return _JSONB_VERSION + msgspec.json.encode(value)


def _decode(data: bytes) -> Any:
    return msgspec.json.decode(data.removeprefix(_JSONB_VERSION))
