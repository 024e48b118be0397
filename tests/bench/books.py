"""What has to be true once the orders have ended: in Postgres, at the gateways and in Temporal."""

import asyncio
import time
from collections import Counter
from collections.abc import Collection
from typing import Final

import asyncpg
from msgspec import Struct
from temporalio.client import Client, WorkflowExecutionStatus

from orderfleet.domain.contract import ORDER_WORKFLOW

# A refund has no deadline. After an overload of a minute the last is through in some ten seconds;
# ReconcileOrders looks every ten.
_PATIENCE: Final = 60.0

# Orders that are open, and orders whose money or package is not where their end says.
_WRONG: Final = """
SELECT orders.id
FROM orders
LEFT JOIN gateway.charges AS charge ON charge.key = orders.payment_id
LEFT JOIN LATERAL (
    SELECT count(*) AS taken FROM gateway.shipments
    WHERE shipments.order_id = orders.id AND shipments.status = 'taken'
) AS carrier ON true
WHERE starts_with(orders.id, $1) AND NOT CASE orders.state
    WHEN 'fulfilled' THEN charge.status = 'captured' AND carrier.taken = 1
    WHEN 'cancelled' THEN coalesce(charge.status, '') <> 'captured' AND carrier.taken = 0
    WHEN 'rejected' THEN coalesce(charge.status, '') <> 'captured' AND carrier.taken = 0
    WHEN 'failed' THEN coalesce(charge.status, '') <> 'captured' AND carrier.taken = 0
    WHEN 'timed_out' THEN coalesce(charge.status, '') <> 'captured' AND carrier.taken = 0
    ELSE false
END
"""


# Beyond what the server can do it ends orders by their own 15 s, before a worker hears of them.
_ENDED: Final = {WorkflowExecutionStatus.COMPLETED, WorkflowExecutionStatus.TIMED_OUT}


class Books(Struct, frozen=True):
    """How the accepted orders ended, as many of each, in Postgres and in Temporal."""

    postgres: dict[str, int]
    temporal: dict[str, int]


class UnbalancedError(Exception):
    """An order is lost, or money or a package is not where it belongs. Nothing else counts then."""


async def check_books(
    database: "asyncpg.Pool[asyncpg.Record]",
    client: Client,
    prefix: str,
    accepted: Collection[str],
    *,
    patience: float = _PATIENCE,
) -> Books:
    """Tell how they ended, if each accepted order has, in both, and its money is where that says.

    Raises:
        UnbalancedError: it is not so, after this time.
    """
    until = time.monotonic() + patience
    while True:
        try:
            return await _books(database, client, prefix, set(accepted))
        except UnbalancedError:
            if time.monotonic() > until:
                raise
        await asyncio.sleep(1)


async def _books(
    database: "asyncpg.Pool[asyncpg.Record]", client: Client, prefix: str, accepted: set[str]
) -> Books:
    rows = await database.fetch(
        "SELECT id, state FROM orders WHERE starts_with(id, $1)", f"{prefix}-"
    )
    states = {row["id"]: str(row["state"]) for row in rows}
    if lost := accepted - states.keys():
        raise UnbalancedError(f"{_some(lost)} accepted and not in Postgres")
    wrong = await database.fetch(_WRONG, f"{prefix}-")
    if wrong:
        raise UnbalancedError(f"{_some({row['id'] for row in wrong})} open or out of balance")
    query = f"WorkflowType = '{ORDER_WORKFLOW}' AND WorkflowId STARTS_WITH '{prefix}-'"
    statuses = {
        one.id: one.status.name.lower()
        async for one in client.list_workflows(query, page_size=1000)
        if one.status in _ENDED
    }
    if lost := accepted - statuses.keys():
        raise UnbalancedError(f"{_some(lost)} accepted and not ended in Temporal")
    return Books(*(dict(Counter(ends[one] for one in accepted)) for ends in (states, statuses)))


def _some(orders: Collection[str]) -> str:
    return f"{len(orders)} orders, such as {min(orders)}:"
