"""The simulated gateways' own ledger (schema `gateway`), which the checks read."""

from datetime import datetime
from typing import Any, Final

from msgspec import Struct

from orderfleet.store.pool import Pool

CHARGES_PAGE: Final = 100


class Balance(Struct, frozen=True):
    """The gateways' ledger compared with the fleet's orders: only the sums may differ from zero."""

    captured: str
    refunded: str
    fulfilled: str
    unbalanced_orders: list[str]
    charged_twice: list[str]
    refunded_and_shipped: list[str]

    @property
    def balanced(self) -> bool:
        """Whether captured minus refunded equals fulfilled, for every order."""
        return not (self.unbalanced_orders or self.charged_twice or self.refunded_and_shipped)


async def count_call(pool: Pool, operation: str, order_id: str) -> int:
    """Count a call of a gateway for an order; return the call's number, from 1."""
    return int(
        await pool.fetchval(
            "INSERT INTO gateway.calls (operation, order_id, count) VALUES ($1, $2, 1)"
            " ON CONFLICT (operation, order_id) DO UPDATE SET count = calls.count + 1"
            " RETURNING count",
            operation,
            order_id,
        )
    )


async def put_charge(
    pool: Pool, key: str, order_id: str, amount: str, currency: str, status: str
) -> tuple[str, bool]:
    """Enter a charge unless its key is in use; return the key's status, and whether it was."""
    row = await pool.fetchrow(
        # An update without a change makes RETURNING return the existing row. An inserted row has
        # no xmax, an updated row has one.
        "INSERT INTO gateway.charges (key, order_id, amount, currency, status)"
        " VALUES ($1, $2, $3::text::numeric, $4, $5)"
        " ON CONFLICT (key) DO UPDATE SET key = excluded.key"
        " RETURNING status, xmax <> 0 AS repeated",
        key,
        order_id,
        amount,
        currency,
        status,
    )
    if row is None:
        raise LookupError(key)
    return str(row["status"]), bool(row["repeated"])


async def charge_status(pool: Pool, key: str) -> str | None:
    """Return the status of a charge, or None if the key was never used."""
    found = await pool.fetchval("SELECT status FROM gateway.charges WHERE key = $1", key)
    return None if found is None else str(found)


async def list_charges(pool: Pool, since: datetime, after: str) -> list[dict[str, Any]]:
    """Return up to 100 charges from a time on, by key, those after a key."""
    rows = await pool.fetch(
        "SELECT key, order_id, amount::text, currency, status, created_at FROM gateway.charges"
        " WHERE created_at >= $1 AND key > $2 ORDER BY key LIMIT $3",
        since,
        after,
        CHARGES_PAGE,
    )
    return [dict(row) for row in rows]


async def refund_charge(pool: Pool, key: str) -> str | None:
    """Turn `captured` into `refunded`; return the key's status."""
    await pool.execute(
        "UPDATE gateway.charges SET status = 'refunded' WHERE key = $1 AND status = 'captured'", key
    )
    return await charge_status(pool, key)


async def put_shipment(
    pool: Pool, key: str, order_id: str, address: dict[str, Any], status: str
) -> str:
    """Enter a shipment unless its key is in use; return the key's status."""
    return str(
        await pool.fetchval(
            "INSERT INTO gateway.shipments (key, order_id, address_json, status)"
            # A worker that stood still may call for an order that is forgotten meanwhile.
            " SELECT $1, $2::text, coalesce((SELECT address_json FROM orders"
            " WHERE id = $2::text AND forgotten_at IS NOT NULL), $3), $4"
            " ON CONFLICT (key) DO UPDATE SET key = excluded.key RETURNING status",
            key,
            order_id,
            address,
            status,
        )
    )


async def shipment_status(pool: Pool, key: str) -> str | None:
    """Return the status of a shipment, or None if the key was never used."""
    found = await pool.fetchval("SELECT status FROM gateway.shipments WHERE key = $1", key)
    return None if found is None else str(found)


async def recall_shipment(pool: Pool, key: str) -> str | None:
    """Turn `taken` into `recalled`; return the key's status."""
    await pool.execute(
        "UPDATE gateway.shipments SET status = 'recalled' WHERE key = $1 AND status = 'taken'", key
    )
    return await shipment_status(pool, key)


_BALANCE: Final = """
WITH charged AS (
    SELECT order_id,
           count(*) FILTER (WHERE status <> 'voided') AS times,
           coalesce(sum(amount) FILTER (WHERE status IN ('captured', 'refunded')), 0) AS captured,
           coalesce(sum(amount) FILTER (WHERE status = 'refunded'), 0) AS refunded
    FROM gateway.charges GROUP BY order_id
), shipped AS (
    SELECT order_id, count(*) FILTER (WHERE status = 'taken') AS taken
    FROM gateway.shipments GROUP BY order_id
), book AS (
    SELECT coalesce(orders.id, charged.order_id, shipped.order_id) AS id,
           coalesce(charged.times, 0) AS times,
           coalesce(charged.captured, 0) AS captured,
           coalesce(charged.refunded, 0) AS refunded,
           coalesce(shipped.taken, 0) AS taken,
           CASE WHEN orders.state = 'fulfilled' THEN orders.amount ELSE 0 END AS fulfilled,
           coalesce(orders.state = 'fulfilled', false) AS is_fulfilled
    FROM orders
    FULL JOIN charged ON charged.order_id = orders.id
    FULL JOIN shipped ON shipped.order_id = coalesce(orders.id, charged.order_id)
)
SELECT coalesce(sum(captured), 0)::text AS captured,
       coalesce(sum(refunded), 0)::text AS refunded,
       coalesce(sum(fulfilled), 0)::text AS fulfilled,
       coalesce(array_agg(id) FILTER (
           WHERE captured - refunded <> fulfilled OR (taken = 1) <> is_fulfilled OR taken > 1
       ), '{}') AS unbalanced_orders,
       coalesce(array_agg(id) FILTER (WHERE times > 1), '{}') AS charged_twice,
       coalesce(array_agg(id) FILTER (WHERE taken > 0 AND refunded > 0), '{}')
           AS refunded_and_shipped
FROM book
"""


async def balance(pool: Pool) -> Balance:
    """Compare the gateways' ledger with the orders. Meant for an idle fleet."""
    row = await pool.fetchrow(_BALANCE)
    return Balance(**dict(row or {}))
