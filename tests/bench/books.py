"""What has to be true once the orders have ended: in Postgres, at the gateways and in Temporal."""

import asyncio
import time
from collections.abc import Collection
from typing import Final

import asyncpg
from temporalio.client import Client, WorkflowExecutionStatus

from orderfleet.messages import ORDER_WORKFLOW

# A refund has no deadline. After an overload of a minute the last is through in some ten seconds;
# SettleOrders looks every ten.
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


class UnbalancedError(Exception):
    """An order is lost, or money or a package is not where it belongs. Nothing else counts then."""


async def check_books(
    database: "asyncpg.Pool[asyncpg.Record]", client: Client, prefix: str, accepted: Collection[str]
) -> None:
    """Return if each accepted order has ended, in both, and its money is where its end says.

    Raises:
        UnbalancedError: it is not so, after a minute.
    """
    until = time.monotonic() + _PATIENCE
    while problem := await _problem(database, client, prefix, set(accepted)):
        if time.monotonic() > until:
            raise UnbalancedError(problem)
        await asyncio.sleep(1)


async def _problem(
    database: "asyncpg.Pool[asyncpg.Record]", client: Client, prefix: str, accepted: set[str]
) -> str:
    known = await database.fetch("SELECT id FROM orders WHERE starts_with(id, $1)", f"{prefix}-")
    if lost := accepted - {row["id"] for row in known}:
        return f"{len(lost)} accepted orders are not in Postgres, such as {min(lost)}"
    wrong = await database.fetch(_WRONG, f"{prefix}-")
    if wrong:
        return f"{len(wrong)} orders are open or do not balance, such as {wrong[0]['id']}"
    query = f"WorkflowType = '{ORDER_WORKFLOW}' AND WorkflowId STARTS_WITH '{prefix}-'"
    ended = {
        one.id
        async for one in client.list_workflows(query, page_size=1000)
        if one.status is WorkflowExecutionStatus.COMPLETED
    }
    if lost := accepted - ended:
        return f"{len(lost)} accepted orders have no completed workflow, such as {min(lost)}"
    return ""
