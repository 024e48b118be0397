"""The feed: the events of all orders, in a sequence that never changes once it is read.

The sequence is that of `events.id`. A transaction takes an id before it commits, so ids become
visible out of their sequence: who reads on from the highest visible id misses those below it that
commit later. But whoever inserts into `events` locks the table (ROW EXCLUSIVE, which excludes no
other writer) before it takes an id, and until its commit is visible. So all ids up to the highest
visible one are settled as soon as the transactions that held this lock when it was seen have ended.
See `docs/decisions/0034-feed-of-events.md`.
"""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Final, TypeAlias

from asyncpg import ReadOnlySQLTransactionError
from msgspec import Struct

from orderfleet.domain.event_states import state_after
from orderfleet.domain.events import EventType
from orderfleet.domain.orders import OrderState
from orderfleet.store.pool import Connection, Pool, is_read_only

_CHANNEL: Final = "orderfleet_events"

# A writer by its virtual transaction, and the process of its session.
Writers: TypeAlias = dict[str, int]

# $1 the highest id that is settled: if there is no newer one, the locks are not read, which would
# cost ten times as much. They are read after the id, as the subquery depends on it.
_LOOK: Final = """
SELECT newest.id, ARRAY(
    SELECT ROW(virtualtransaction, coalesce(pid, 0)) FROM pg_catalog.pg_locks
    WHERE newest.id > $1
      AND locktype = 'relation' AND relation = 'public.events'::regclass
      AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
      AND mode = 'RowExclusiveLock' AND granted
) AS writers
FROM (SELECT coalesce(max(id), 0) AS id FROM events) AS newest
"""

# $1 after, $2 up to, $3 limit, and $4 the orders. The types of an order's events up to this one
# have its state: not that of a restored payment, nor of a dispatch that failed and kept its claim.
# The first event has who placed the order.
_READ: Final = """
WITH page AS MATERIALIZED (
    SELECT id, order_id, number, type, payload_json, ts FROM events
    WHERE id > $1 AND id <= $2 {narrowed}
    ORDER BY id LIMIT $3
)
SELECT page.*, past.types, past.tenant,
       extract(epoch FROM clock_timestamp() - page.ts)::float8 AS age
FROM page CROSS JOIN LATERAL (
    SELECT array_agg(type ORDER BY number) FILTER (WHERE {entering}) AS types,
           max(payload_json ->> 'actor') FILTER (WHERE number = 1) AS tenant
    FROM events WHERE order_id = page.order_id AND number <= page.number
) AS past
ORDER BY page.id
"""
_ENTERING: Final = """
event_key <> 'charging/restored'
AND (type <> 'dispatch_failed' OR payload_json -> 'released' = 'true')
"""
_READ_ALL: Final = _READ.format(entering=_ENTERING, narrowed="")
_READ_ORDERS: Final = _READ.format(entering=_ENTERING, narrowed="AND order_id = ANY($4)")


class FeedEvent(Struct, frozen=True):
    """An event with what the feed shows of its order.

    Attributes:
        id: its place in the feed.
        order_id: the order.
        number: its number in the order's audit log.
        type: the event's type.
        payload: the event's payload.
        ts: when it was written.
        state: the order's state after it, by the audit log.
        tenant: the name of the API key that placed the order, if it was placed with a key.
        age: how many seconds before this read it was written, by Postgres' clock.
    """

    id: int
    order_id: str
    number: int
    type: EventType
    payload: dict[str, Any]
    ts: datetime
    state: OrderState
    tenant: str | None
    age: float


class Look(Struct, frozen=True):
    """The highest visible id, and who was writing just after it was seen."""

    newest: int
    writers: Writers


class Horizon:
    """Up to which id the feed is settled: no event appears at or below it any more."""

    def __init__(self) -> None:
        self.settled = 0
        self.newest = 0
        # The id that is settled when these have ended, and since when they are waited for.
        self._candidate = 0
        self._writers: Writers = {}
        self._since = 0.0

    @property
    def waits_for(self) -> list[int]:
        """The sessions whose transactions must end before the feed goes on."""
        return sorted(self._writers.values())

    def waited(self, now: float) -> float:
        """Return for how long the same transactions have been waited for."""
        return now - self._since if self._writers else 0.0

    def observe(self, look: Look, now: float) -> None:
        """Take a look at the table into account."""
        self.newest = look.newest
        self._writers = {name: pid for name, pid in self._writers.items() if name in look.writers}
        if not self._writers:
            self.settled = self._candidate
            if look.newest > self.settled:
                self._candidate, self._writers, self._since = look.newest, dict(look.writers), now
                if not self._writers:
                    self.settled = look.newest
        # A database that has lost commits, or was restored, uses the ids of lost events again.
        self._candidate = min(self._candidate, look.newest)
        self.settled = min(self.settled, look.newest)


async def look(connection: Connection, settled: int) -> Look:
    """Look for events above `settled`, and for who may be adding some below them.

    Raises:
        UNAVAILABLE: the connection is broken, or leads to what has become a standby.
    """
    row = await connection.fetchrow(_LOOK, settled)
    # The server reports that with an answer.
    if is_read_only(connection):
        raise ReadOnlySQLTransactionError("the server is read-only")
    if row is None:
        raise LookupError("an aggregate returned no row")
    return Look(row["id"], dict(map(tuple, row["writers"])))


async def read_events(
    source: Connection | Pool,
    *,
    after: int,
    up_to: int,
    limit: int,
    order_ids: Iterable[str] = (),
) -> list[FeedEvent]:
    """Return the events after one id and up to another; of these orders only, if there are any."""
    if ids := list(order_ids):
        rows = await source.fetch(_READ_ORDERS, after, up_to, limit, ids)
    else:
        rows = await source.fetch(_READ_ALL, after, up_to, limit)
    return [
        FeedEvent(
            id=row["id"],
            order_id=row["order_id"],
            number=row["number"],
            type=EventType(row["type"]),
            payload=row["payload_json"],
            ts=row["ts"],
            state=state_after(row["types"] or ()),
            tenant=row["tenant"],
            age=row["age"],
        )
        for row in rows
    ]


@asynccontextmanager
async def listening(pool: Pool, wake: Callable[[], None]) -> AsyncIterator[Connection]:
    """Open a connection for the block; call `wake` after commits that add events, and at its end.

    Raises:
        UNAVAILABLE: Postgres is unavailable.
    """
    async with pool.dedicated() as connection:
        connection.add_termination_listener(lambda *_: wake())
        await connection.add_listener(_CHANNEL, lambda *_: wake())
        yield connection
