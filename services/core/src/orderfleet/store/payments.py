"""The two statements of a charge, around the gateway's call, and the outcome of a payment."""

from typing import Any, Final, TypeAlias

import asyncpg
from msgspec import Struct

from orderfleet.domain.orders import OrderState
from orderfleet.domain.payments import PaymentStatus
from orderfleet.store.pool import Pool
from orderfleet.store.transitions import Transition, retry_stale_snapshot


class ChargeStart(Struct, frozen=True):
    """The payment's row is there: the gateway may be called for this sum."""

    amount: str
    currency: str


class AlreadyCharged(Struct, frozen=True):
    """An earlier attempt has recorded the capture."""


class PaymentTaken(Struct, frozen=True):
    """The payment id pays for another order."""


class Rejected(Struct, frozen=True):
    """A person has rejected the order."""

    reason: str


class OrderClosed(Struct, frozen=True):
    """The order is in a state in which it is not charged."""

    state: OrderState


ChargeDecision: TypeAlias = ChargeStart | AlreadyCharged | PaymentTaken | Rejected | OrderClosed

# $1 order id, $2 payment id, $3 the review as the event's payload, $4 attempt payload. A review in
# the audit log counts, whether or not the workflow has received it. A review written while the
# statement waited for the row is not in its snapshot: the event's key then fails the statement.
_BEGIN_CHARGE: Final = """
WITH before AS (
    SELECT id, state, amount, currency FROM orders WHERE id = $1 FOR UPDATE
), review AS (
    SELECT payload_json ->> 'approved' = 'true' AS approved,
           coalesce(payload_json ->> 'reason', 'not approved') AS reason
    FROM events WHERE order_id = $1 AND event_key = 'reviewed'
), payment AS (
    INSERT INTO payments (payment_id, order_id, status, amount, currency)
    SELECT $2, id, 'pending', amount, currency FROM before
    WHERE state = 'in_review' AND NOT EXISTS (SELECT FROM review WHERE NOT approved)
    ON CONFLICT (payment_id) DO NOTHING
    RETURNING payment_id
), moved AS (
    UPDATE orders
    SET state = 'charging', updated_at = clock_timestamp(),
        event_count = orders.event_count + 2 - (SELECT count(*) FROM review)
    FROM before, payment
    WHERE orders.id = before.id
    RETURNING orders.id, orders.event_count
), noted AS (
    INSERT INTO events (order_id, number, type, payload_json, event_key)
    SELECT id, event_count - 1, 'reviewed', $3::jsonb, 'reviewed' FROM moved
    WHERE NOT EXISTS (SELECT FROM review)
    UNION ALL
    SELECT id, event_count, 'charging', $4::jsonb, 'charging' FROM moved
)
SELECT before.state, before.amount::text AS amount, before.currency,
       EXISTS (SELECT FROM moved) AS moved,
       (SELECT reason FROM review WHERE NOT approved) AS rejected,
       (SELECT order_id FROM payments WHERE payment_id = $2) AS payer,
       (SELECT status FROM payments WHERE payment_id = $2) AS payment
FROM before
"""

# $1 order id, $2 payment id, $3 new status, $4 statuses before it, $5 event type (its key too),
# $6 payload, $7 order state to leave and $8 to enter, both null if the order's state stays.
# The order's row is locked before the payment's, here as everywhere: no deadlock.
_RECORD_OUTCOME: Final = """
WITH before AS (
    SELECT id, state FROM orders WHERE id = $1 FOR UPDATE
), payment AS (
    UPDATE payments SET status = $3
    FROM before
    WHERE payment_id = $2 AND order_id = before.id AND status = ANY($4)
    RETURNING payment_id
), moved AS (
    UPDATE orders
    SET state = CASE WHEN orders.state = $7 THEN $8 ELSE orders.state END,
        event_count = orders.event_count + 1, updated_at = clock_timestamp()
    FROM payment
    WHERE orders.id = $1
    RETURNING orders.id, orders.event_count, orders.state
), noted AS (
    INSERT INTO events (order_id, number, type, payload_json, event_key)
    SELECT id, event_count, $5, $6, $5 FROM moved
)
SELECT coalesce((SELECT state FROM moved), before.state) AS state,
       EXISTS (SELECT FROM moved) AS moved,
       EXISTS (SELECT FROM events WHERE order_id = $1 AND event_key = $5) AS repeated
FROM before
"""


async def begin_charge(
    pool: Pool, order_id: str, payment_id: str, review: dict[str, Any], payload: dict[str, Any]
) -> ChargeDecision | None:
    """Take the payment id for this order and enter `charging`, before the gateway is called.

    Returns:
        Whether to call the gateway; None for an unknown order.
    """
    try:
        row = await pool.fetchrow(_BEGIN_CHARGE, order_id, payment_id, review, payload)
    except asyncpg.UniqueViolationError:
        row = await pool.fetchrow(_BEGIN_CHARGE, order_id, payment_id, review, payload)
    if row is not None and not row["moved"] and row["payer"] is None:
        # A twin took the payment id while this statement waited for it.
        row = await pool.fetchrow(_BEGIN_CHARGE, order_id, payment_id, review, payload)
    return None if row is None else _decide(order_id, row)


def _decide(order_id: str, row: asyncpg.Record) -> ChargeDecision:
    if row["payer"] not in {None, order_id}:
        return PaymentTaken()
    if row["rejected"] is not None:
        return Rejected(row["rejected"])
    before = OrderState(row["state"])
    # No call of the gateway without the payment's row, by which the charge would be undone.
    if row["moved"] or (before is OrderState.CHARGING and row["payment"]):
        return ChargeStart(row["amount"], row["currency"])
    return AlreadyCharged() if before is OrderState.CHARGED else OrderClosed(before)


async def record_payment_outcome(
    pool: Pool,
    order_id: str,
    payment_id: str,
    status: PaymentStatus,
    payload: dict[str, Any],
) -> Transition | None:
    """Record the outcome of a payment; `captured` also moves an order that is charging to charged.

    A payment moves forward only: a capture recorded after the refund changes nothing.
    """
    before = [PaymentStatus.PENDING]
    event_type = status.value
    leave = enter = None
    if status is PaymentStatus.CAPTURED:
        event_type, leave, enter = "charged", OrderState.CHARGING, OrderState.CHARGED
    elif status is PaymentStatus.REFUNDED:
        before.append(PaymentStatus.CAPTURED)
    row = await retry_stale_snapshot(
        pool,
        _RECORD_OUTCOME,
        order_id,
        payment_id,
        status,
        before,
        event_type,
        payload,
        leave,
        enter,
    )
    if row is None:
        return None
    return Transition(state=OrderState(row["state"]), moved=row["moved"], repeated=row["repeated"])
