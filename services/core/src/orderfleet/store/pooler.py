"""What a pooler between the fleet and Postgres must keep: checked at start, said in one line.

In session mode each connection has a session of the server's. In transaction mode pgbouncer keeps
prepared statements from release 1.21 on, which is enough for the fleet; migrations hold a lock of
their session, which another client would inherit.
"""

from typing import Final
from uuid import uuid4

import asyncpg
import structlog

from orderfleet.environment import SettingsError
from orderfleet.store.pool import UNAVAILABLE, Connection, Pool

log = structlog.stdlib.get_logger(__name__)

_VARIABLE: Final = "DATABASE_URL"
_STATEMENTS: Final = (
    f"{_VARIABLE}: the pooler is in transaction mode and keeps no prepared statements; set "
    "max_prepared_statements (pgbouncer 1.21 or later) or pool_mode = session"
)
_SESSIONS: Final = (
    f"{_VARIABLE}: migrations need Postgres itself or a pooler in session mode, and this pooler is "
    "in transaction mode"
)
_ROUNDS: Final = 5
# The statement is prepared in another session, or one of its name is prepared in this session.
_MIXED_UP: Final = (asyncpg.InvalidSQLStatementNameError, asyncpg.DuplicatePreparedStatementError)


async def check_statements(pool: Pool) -> None:
    """Check that a pooler, if there is one, keeps prepared statements.

    Without a second connection this is unknown, and no reason not to start.

    Raises:
        SettingsError: it does not.
    """
    try:
        async with pool.acquire() as first, pool.dedicated() as second, pool.dedicated() as third:
            # asyncpg's own names are those of every process, so that a session may have the name.
            name = f"orderfleet_{uuid4().hex}"
            statement = await first.prepare("SELECT 1", name=name)
            # Whichever session the pooler chooses, by turns or the last one: in one of the rounds
            # another connection holds that in which the statement was prepared.
            for _ in range(_ROUNDS):
                for other in (second, third):
                    await statement.fetchval()
                    async with other.transaction():
                        await other.execute("SELECT 1")
                        await statement.fetchval()
    except _MIXED_UP:
        raise SettingsError(_STATEMENTS) from None
    except UNAVAILABLE as error:
        log.info("the pooler was not checked", error=str(error) or type(error).__name__)


async def check_session(first: Connection, second: Connection) -> None:
    """Check that each connection keeps a session of its own.

    Raises:
        SettingsError: it does not.
    """
    try:
        pids = [await _session(connection) for connection in (first, second, first)]
    except _MIXED_UP:
        raise SettingsError(_SESSIONS) from None
    if pids[0] != pids[2] or pids[0] == pids[1]:
        raise SettingsError(_SESSIONS)


async def _session(connection: Connection) -> int:
    pid: int = await connection.fetchval("SELECT pg_backend_pid()")
    return pid
