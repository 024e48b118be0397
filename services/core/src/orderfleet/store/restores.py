"""Restores from a backup, and the statements that bring back what the backup lacks.

Rows that are older than Temporal's histories or the gateways' books are no evidence of what has
not happened. See `docs/decisions/0039-backup.md`.
"""

from datetime import datetime, timedelta
from typing import Any, Final

from msgspec import Struct

from orderfleet.domain.orders import OrderState
from orderfleet.store.pool import Pool
from orderfleet.store.reconciliation import LeftBehind

# Its first run begins it. There is one at most: a restore takes over what an earlier one has left.
_PENDING: Final = """
UPDATE restores SET begun_at = coalesce(begun_at, clock_timestamp())
WHERE reconciled_at IS NULL
RETURNING id, since, restored_at, listed_until, listed,
          extract(epoch FROM clock_timestamp() - begun_at)::float8 AS age
"""

# $1 when the order began, null if nobody knows, $2 how much older an order in doubt may be.
_IN_DOUBT: Final = """
SELECT EXISTS (
    SELECT FROM restores
    WHERE CASE WHEN $1::timestamptz IS NULL THEN reconciled_at IS NULL
          ELSE $1 BETWEEN since - $2::interval AND restored_at END
)
"""

# $1 the restore, $2 as above. Orders that ended since the restore, unfulfilled, and without a
# charge that their row or their workflow knew of. A workflow of the backup may have written its row
# after the start. `created_at` has the index.
_UNPAID: Final = """
SELECT orders.id, orders.payment_id, orders.state, orders.fingerprint
FROM orders JOIN restores ON restores.id = $1
WHERE orders.created_at >= restores.since - $2::interval
  AND orders.created_at < restores.begun_at + interval '1 minute'
  AND orders.updated_at >= restores.restored_at
  AND orders.state IN ('cancelled', 'rejected', 'failed', 'timed_out')
  AND NOT EXISTS (SELECT FROM payments WHERE payments.payment_id = orders.payment_id)
"""

# $1 order id, $2 payment id, $3 amount, $4 currency, $5 when it was charged, $6 payload. Masks what
# is lost, as in a forgotten order; no request has an empty fingerprint.
_ADOPT: Final = """
WITH adopted AS (
    INSERT INTO orders (id, payment_id, amount, currency, fingerprint, state, address_json,
                        items_json, event_count, created_at)
    SELECT $1, $2, $3::text::numeric, $4, '', 'received', '{"street": "***", "city": "***"}', '[]',
           1, $5
    ON CONFLICT (id) DO NOTHING
    RETURNING id
), noted AS (
    INSERT INTO events (order_id, number, type, payload_json, event_key)
    SELECT id, 1, 'received', $6, 'received' FROM adopted
)
SELECT EXISTS (SELECT FROM adopted)
"""


class Restore(Struct, frozen=True):
    """A restore whose orders are being reconciled.

    Attributes:
        id: which one.
        since: when the backup was made.
        restored_at: when it was restored.
        listed_until: the gateway's cursor up to which its charges are compared.
        listed: whether all of them are.
        age: seconds since the first run.
    """

    id: int
    since: datetime
    restored_at: datetime
    listed_until: str
    listed: bool
    age: float


class LostCharge(Struct, frozen=True):
    """What a payment gateway knows of an order that no record has."""

    order_id: str
    payment_id: str
    amount: str
    currency: str
    charged_at: datetime


async def pending_restore(pool: Pool) -> Restore | None:
    """Return the restore that is not reconciled yet."""
    row = await pool.fetchrow(_PENDING)
    return None if row is None else Restore(**dict(row))


async def in_doubt(pool: Pool, began: datetime | None, older: timedelta) -> bool:
    """Tell whether an order may have gone on, after the backup, in ways that no record has."""
    return bool(await pool.fetchval(_IN_DOUBT, began, older))


async def unpaid_ends(pool: Pool, restore: Restore, older: timedelta) -> list[LeftBehind]:
    """Return the orders in doubt that have ended, since the restore, as if never charged."""
    rows = await pool.fetch(_UNPAID, restore.id, older)
    return [
        LeftBehind(row["id"], row["payment_id"], OrderState(row["state"]), row["fingerprint"])
        for row in rows
    ]


async def adopt_charge(pool: Pool, charge: LostCharge, payload: dict[str, Any]) -> bool:
    """Write the row of an order of which only its charge is left; False if it has one."""
    return bool(
        await pool.fetchval(
            _ADOPT,
            charge.order_id,
            charge.payment_id,
            charge.amount,
            charge.currency,
            charge.charged_at,
            payload,
        )
    )


async def save_listed(pool: Pool, restore: Restore, cursor: str) -> None:
    """Remember up to where the gateway's charges are compared; an empty cursor is all of them."""
    await pool.execute(
        "UPDATE restores SET listed_until = $2, listed = ($2 = '') WHERE id = $1",
        restore.id,
        cursor,
    )


async def finish_restore(pool: Pool, restore: Restore) -> None:
    """Record that a restore is reconciled."""
    await pool.execute(
        "UPDATE restores SET reconciled_at = clock_timestamp() WHERE id = $1", restore.id
    )
