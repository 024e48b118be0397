"""The statements that change an order's state: each writes row and event at once, idempotently.

Every statement locks the order's row first. The lock alone decides between what competes for the
order: an attempt that timed out but still runs, a cancel, a dispatch. An event's key makes the
statement idempotent: a repeat finds its event and changes nothing.
"""

from typing import Any, Final

import asyncpg
import msgspec
from msgspec import Struct

from orderfleet.domain.events import Event, ended
from orderfleet.domain.orders import (
    ADDRESS_OPEN_STATES,
    OPEN_STATES,
    Address,
    Order,
    OrderState,
    states_before,
)
from orderfleet.domain.payments import PaymentStatus
from orderfleet.store.pool import Pool


class Transition(Struct, frozen=True):
    """What a statement did to an order.

    Attributes:
        state: the order's state after the statement.
        moved: this run of the statement changed the order.
        repeated: an earlier run had done so.
        age: seconds since the order's row was written, by Postgres' clock.
    """

    state: OrderState
    moved: bool
    repeated: bool
    age: float = 0.0

    @property
    def applied(self) -> bool:
        """Tell whether the change stands, by this run or an earlier one."""
        return self.moved or self.repeated


class OrderEnd(Transition, frozen=True):
    """The end that an order has, whoever wrote it, and what there is to undo.

    Attributes:
        payment: the status of the order's payment.
        dispatch_key: the carrier's key of a dispatch whose outcome is unknown.
    """

    payment: PaymentStatus | None = None
    dispatch_key: str | None = None


# $1 order id, $2 new state (null keeps it), $3 states from which it may be entered, $4 types,
# $5 keys, $6 payloads of the events, $7 new address (null keeps it), $8 the carrier's key that the
# row must have (null is any). The first event's key decides whether the statement is a repeat; of
# the other events the missing ones are added.
# What comes late for a forgotten order loses its free text too.
# FOR UPDATE comes first: after a wait for the lock it reads the row as the winner left it, while
# the rest of the statement still sees the snapshot from before the wait.
_MOVE: Final = """
WITH before AS (
    SELECT id, state, event_count, created_at, forgotten_at FROM orders WHERE id = $1 FOR UPDATE
), event AS (
    SELECT row_number() OVER (ORDER BY position) AS n, type, key, payload
    FROM unnest($4::text[], $5::text[], $6::jsonb[]) WITH ORDINALITY
        AS e (type, key, payload, position)
    WHERE NOT EXISTS (SELECT FROM events WHERE order_id = $1 AND event_key = e.key)
), moved AS (
    UPDATE orders
    SET state = coalesce($2, orders.state),
        address_json = coalesce($7, orders.address_json),
        event_count = orders.event_count + (SELECT count(*) FROM event),
        updated_at = clock_timestamp()
    FROM before
    WHERE orders.id = before.id AND before.state = ANY($3)
      AND ($8::text IS NULL OR orders.dispatch_key = $8)
      AND EXISTS (SELECT FROM event WHERE key = $5[1])
    RETURNING orders.id, orders.event_count
), noted AS (
    INSERT INTO events (order_id, number, type, payload_json, event_key)
    SELECT moved.id, moved.event_count - (SELECT count(*) FROM event) + n, type,
           CASE WHEN before.forgotten_at IS NULL THEN payload ELSE redacted_payload(payload) END,
           key
    FROM before, moved, event
)
SELECT before.state,
       EXISTS (SELECT FROM moved) AS moved,
       NOT EXISTS (SELECT FROM event WHERE key = $5[1]) AS repeated,
       extract(epoch FROM clock_timestamp() - before.created_at)::float8 AS age
FROM before
"""

# Commits asynchronously, which halves its latency. Safe: Temporal already has the order, and the
# next synchronous commit flushes this one. If Postgres dies in between, `validate` finds no row
# and writes it again.
_RECEIVE: Final = """
WITH received AS (
    INSERT INTO orders (id, payment_id, amount, currency, fingerprint, state, address_json,
                        items_json, event_count)
    VALUES ($1, $2, $3::text::numeric, $4, $5, 'received', $6, $7, 1)
    ON CONFLICT (id) DO NOTHING
    RETURNING id
), noted AS (
    INSERT INTO events (order_id, number, type, payload_json, event_key)
    SELECT id, 1, 'received', $8, 'received' FROM received
)
SELECT coalesce((SELECT $5 FROM received), (SELECT fingerprint FROM orders WHERE id = $1)),
       set_config('synchronous_commit', 'off', true)
"""

_END: Final = """
SELECT orders.state, orders.dispatch_key, payments.status AS payment
FROM orders LEFT JOIN payments
  ON payments.payment_id = orders.payment_id AND payments.order_id = orders.id
WHERE orders.id = $1
"""


async def receive(pool: Pool, order_id: str, order: Order, payload: dict[str, Any]) -> bool:
    """Write the order's row and first event; return False if another order has this id."""
    arguments = (
        order_id,
        order.payment_id,
        order.amount,
        order.currency,
        order.fingerprint,
        msgspec.to_builtins(order.address),
        msgspec.to_builtins(order.items),
        payload,
    )
    fingerprint = await pool.fetchval(_RECEIVE, *arguments)
    if fingerprint is None:
        # A twin inserted the row while this statement waited; its snapshot is older than that.
        fingerprint = await pool.fetchval(_RECEIVE, *arguments)
    return bool(fingerprint == order.fingerprint)


async def move(
    pool: Pool,
    order_id: str,
    events: list[Event],
    *,
    to: OrderState | None = None,
    before: frozenset[OrderState] | None = None,
    address: Address | None = None,
    dispatch_key: str | None = None,
) -> Transition | None:
    """Enter a state along an edge of the graph, or stay without `to`; write `events` with it.

    Args:
        pool: the connections.
        order_id: the order.
        events: the first event's key makes the statement idempotent.
        to: the new state.
        before: narrows the states from which the order moves; by default all with an edge to `to`.
        address: the new address.
        dispatch_key: the carrier's key that the order's dispatch must have.

    Returns:
        What the statement did; None for an unknown order.
    """
    allowed = before if to is None else states_before(to) & (before or OPEN_STATES)
    arguments = (
        order_id,
        to,
        list(OrderState if allowed is None else allowed),
        [event.type for event in events],
        [event.key for event in events],
        [event.payload for event in events],
        None if address is None else msgspec.to_builtins(address),
        dispatch_key,
    )
    row = await retry_stale_snapshot(pool, _MOVE, *arguments)
    if row is None:
        return None
    state = to if row["moved"] and to is not None else OrderState(row["state"])
    return Transition(state=state, moved=row["moved"], repeated=row["repeated"], age=row["age"])


async def append_event(pool: Pool, order_id: str, event: Event) -> None:
    """Write an event that changes nothing else; for an unknown order do nothing."""
    await move(pool, order_id, [event])


async def change_address(
    pool: Pool, order_id: str, address: Address, event: Event
) -> Transition | None:
    """Change the address, unless a dispatch has claimed the order or the order has ended."""
    return await move(pool, order_id, [event], before=ADDRESS_OPEN_STATES, address=address)


async def end_order(
    pool: Pool, order_id: str, state: OrderState, reason: str, events: list[Event]
) -> OrderEnd | None:
    """End the order unless it has ended; None for an unknown order.

    Raises:
        ValueError: the graph has no edge from the order's state to this end.
    """
    for event in events:
        await append_event(pool, order_id, event)
    transition = await move(pool, order_id, [ended(state, reason)], to=state)
    if transition is None:
        return None
    row = await pool.fetchrow(_END, order_id)
    if row is None:
        return None
    end = OrderState(row["state"])
    if not end.ended:
        raise ValueError(f"no edge leads from {end} to {state}")
    return OrderEnd(
        state=end,
        moved=transition.moved,
        repeated=transition.repeated,
        age=transition.age,
        payment=PaymentStatus(row["payment"]) if row["payment"] else None,
        dispatch_key=None if end is OrderState.FULFILLED else row["dispatch_key"],
    )


async def retry_stale_snapshot(
    pool: Pool, statement: str, *arguments: Any
) -> asyncpg.Record | None:
    """Run a statement; once more if its snapshot may have been stale.

    The snapshot is from before the wait for the row's lock. What a twin of the statement did in
    that time is not in it: the statement writes the twin's event again and fails, or it meets a
    state that it cannot leave and takes the repeat for a refusal.
    """
    try:
        row = await pool.fetchrow(statement, *arguments)
    except asyncpg.UniqueViolationError:
        return await pool.fetchrow(statement, *arguments)
    if row is None or row["moved"] or row["repeated"]:
        return row
    return await pool.fetchrow(statement, *arguments)
