"""Statements that restore what Postgres has lost, by evidence from Temporal or the carrier.

A failover to a standby that lags loses an order's last commits, but not what the order did outside
Postgres. Only these statements ignore the graph of states; like all statements they are idempotent.
"""

from typing import Any, Final

from orderfleet.domain.orders import OPEN_STATES, UNDONE_ENDS, OrderState
from orderfleet.store.pool import Pool
from orderfleet.store.transitions import Transition

# $1 order id, $2 the event's payload. A payment id that pays for another order stays with it.
_PAYMENT: Final = """
WITH before AS (
    SELECT id, payment_id, amount, currency FROM orders
    WHERE id = $1 AND state <> 'fulfilled' FOR UPDATE
), payment AS (
    INSERT INTO payments (payment_id, order_id, status, amount, currency)
    SELECT payment_id, id, 'pending', amount, currency FROM before
    ON CONFLICT (payment_id) DO NOTHING
    RETURNING order_id
), moved AS (
    UPDATE orders SET event_count = event_count + 1, updated_at = clock_timestamp()
    FROM payment WHERE orders.id = payment.order_id
    RETURNING orders.id, orders.event_count
), noted AS (
    INSERT INTO events (order_id, number, type, payload_json, event_key)
    SELECT id, event_count, 'charging', $2, 'charging/restored' FROM moved
)
SELECT EXISTS (SELECT FROM moved)
"""

# $1 order id, $2 the states to leave, $3 the event's payload, $4 its key. The carrier gets a
# package only after the capture is on record, so the payment was captured.
_FULFILLED: Final = """
WITH before AS (
    SELECT id, state, created_at FROM orders WHERE id = $1 FOR UPDATE
), moved AS (
    UPDATE orders
    SET state = 'fulfilled', event_count = event_count + 1, updated_at = clock_timestamp()
    FROM before
    WHERE orders.id = before.id AND before.state = ANY($2)
    RETURNING orders.id, orders.event_count, payment_id, amount, currency
), payment AS (
    INSERT INTO payments (payment_id, order_id, status, amount, currency)
    SELECT payment_id, id, 'captured', amount, currency FROM moved
    ON CONFLICT (payment_id) DO UPDATE SET status = 'captured'
    WHERE payments.order_id = excluded.order_id AND payments.status = 'pending'
), noted AS (
    INSERT INTO events (order_id, number, type, payload_json, event_key)
    SELECT id, event_count, 'fulfilled', $3, $4 FROM moved
)
SELECT before.state, EXISTS (SELECT FROM moved) AS moved,
       extract(epoch FROM clock_timestamp() - before.created_at)::float8 AS age
FROM before
"""


async def restore_payment(pool: Pool, order_id: str, payload: dict[str, Any]) -> bool:
    """Write the row of a payment that may have been captured; return whether it was missing.

    Refunds read this row; without it no gateway is called.
    """
    return bool(await pool.fetchval(_PAYMENT, order_id, payload))


async def restore_fulfilled(
    pool: Pool, order_id: str, payload: dict[str, Any]
) -> Transition | None:
    """Bring an open order to `fulfilled`, with its payment, as Temporal's history proves."""
    return await _fulfilled(pool, order_id, sorted(OPEN_STATES), payload, "ended")


async def keep_fulfilled(pool: Pool, order_id: str, payload: dict[str, Any]) -> Transition | None:
    """Replace an end that was to be undone by `fulfilled`: the carrier has delivered."""
    return await _fulfilled(pool, order_id, sorted(UNDONE_ENDS), payload, "delivered")


async def _fulfilled(
    pool: Pool, order_id: str, leave: list[OrderState], payload: dict[str, Any], key: str
) -> Transition | None:
    row = await pool.fetchrow(_FULFILLED, order_id, leave, payload, key)
    if row is None:
        return None
    state = OrderState.FULFILLED if row["moved"] else OrderState(row["state"])
    repeated = not row["moved"] and state is OrderState.FULFILLED
    return Transition(state, row["moved"], repeated, age=row["age"])
