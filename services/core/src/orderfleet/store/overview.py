"""What the board shows of all orders. Each query uses an index; the board caches the answers."""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from orderfleet.domain.orders import OPEN_STATES, Amount, Currency, OrderState
from orderfleet.store.pool import Pool


class OpenOrder(Struct, frozen=True):
    """An order that has not ended."""

    id: str
    state: OrderState
    amount: Amount
    currency: Currency
    sequence: Annotated[int, Meta(description="The number of its last event.")]
    attempts: Annotated[int, Meta(description="Of the step that took the most, so far.")]
    age_seconds: Annotated[float, Meta(description="Since it was accepted.")]


class EndedOrder(Struct, frozen=True):
    """An order that has ended."""

    id: str
    state: OrderState
    amount: Amount
    currency: Currency
    sequence: int
    ended_at: Annotated[datetime, Meta(description="The time of its last event.")]
    took_seconds: Annotated[float, Meta(description="From its acceptance to that.")]


class EndsOfMinute(Struct, frozen=True):
    """How many orders ended in a minute, by state; states without an order are absent."""

    minute: datetime
    ends: dict[OrderState, int]


class OrdersNow(Struct, frozen=True):
    """The orders that are open, and some that have ended of late."""

    open_by_state: dict[OrderState, int]
    open: Annotated[
        list[OpenOrder], Meta(description="The oldest, whose time ends first; at most 100.")
    ]
    ended: Annotated[list[EndedOrder], Meta(description="The last ones, at most 10.")]


_OPEN: Final = "state NOT IN ('fulfilled', 'cancelled', 'rejected', 'failed', 'timed_out')"
_COUNTS: Final = f"SELECT state, count(*) FROM orders WHERE {_OPEN} GROUP BY state"  # noqa: S608
_OLDEST: Final = f"""
SELECT id, state, amount::text, currency, event_count, (
           SELECT coalesce(max((payload_json ->> 'attempt')::numeric), 1)::int
           FROM events
           WHERE order_id = orders.id AND jsonb_typeof(payload_json -> 'attempt') = 'number'
       ),
       extract(epoch FROM clock_timestamp() - created_at)::float8
FROM orders WHERE {_OPEN} ORDER BY created_at LIMIT $1
"""  # noqa: S608
# The newest of each end: an order ends within seconds, so the last to end are among them.
_LAST: Final = """
SELECT last.*
FROM unnest($1::text[]) AS ended (state) CROSS JOIN LATERAL (
    SELECT id, state, amount::text, currency, event_count, updated_at,
           extract(epoch FROM updated_at - created_at)::float8
    FROM orders WHERE state = ended.state ORDER BY created_at DESC, id DESC LIMIT $2
) AS last
ORDER BY updated_at DESC LIMIT $2
"""
# By their last event, which a refund makes later than the end: a statement that looks for the end
# itself reads some ten events of each order. An order ends within a minute of its creation, or
# ReconcileOrders ends it.
_ENDS: Final = """
SELECT date_trunc('minute', updated_at, 'UTC') AS minute, state, count(*)
FROM orders
WHERE created_at > now() - make_interval(mins => $1 + 1) AND state = ANY($2)
  AND updated_at >= date_trunc('minute', now(), 'UTC') - make_interval(mins => $1 - 1)
GROUP BY 1, 2
UNION ALL
SELECT date_trunc('minute', now(), 'UTC') - make_interval(mins => number), NULL, 0
FROM generate_series(0, $1 - 1) AS number
ORDER BY 1
"""
_ENDED_STATES: Final = sorted(state for state in OrderState if state not in OPEN_STATES)


async def read_orders_now(pool: Pool, *, most_open: int = 100, most_ended: int = 10) -> OrdersNow:
    """Return the open orders, those first whose time ends first, and the last ones that ended.

    Raises:
        UNAVAILABLE: Postgres is unavailable.
    """
    counts = {OrderState(state): count for state, count in await pool.fetch(_COUNTS)}
    oldest = await pool.fetch(_OLDEST, most_open)
    last = await pool.fetch(_LAST, _ENDED_STATES, most_ended)
    return OrdersNow(
        open_by_state={state: counts.get(state, 0) for state in OrderState if state in OPEN_STATES},
        open=[_open(row) for row in oldest],
        ended=[_ended(row) for row in last],
    )


async def read_ends(pool: Pool, *, minutes: int = 15) -> list[EndsOfMinute]:
    """Return the ends of each of the last minutes, the current one last.

    Raises:
        UNAVAILABLE: Postgres is unavailable.
    """
    ends: dict[datetime, dict[OrderState, int]] = {}
    for minute, state, count in await pool.fetch(_ENDS, minutes, _ENDED_STATES):
        of_minute = ends.setdefault(minute, {})
        if state is not None:
            of_minute[OrderState(state)] = count
    return [EndsOfMinute(minute, counts) for minute, counts in ends.items()]


def _open(row: Iterable[Any]) -> OpenOrder:
    id_, state, *rest = row
    return OpenOrder(id_, OrderState(state), *rest)


def _ended(row: Iterable[Any]) -> EndedOrder:
    id_, state, *rest = row
    return EndedOrder(id_, OrderState(state), *rest)
