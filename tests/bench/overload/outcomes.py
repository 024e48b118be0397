"""How each order ended, by Postgres and by Temporal."""

from typing import Final

import asyncpg
from msgspec import Struct
from temporalio.client import Client

from orderfleet.domain.contract import ORDER_WORKFLOW
from tests.bench.subjects.subject import DEADLINE_SECONDS

# ReconcileOrders marks the ends that it writes: an end without fulfilment by its reason, the others
# by `by`.
_ROWS: Final = """
SELECT orders.id, orders.state::text AS state, extract(epoch FROM ended.ts)::float8 AS ended,
       coalesce(starts_with(ended.payload_json->>'reason', 'reconciled: ')
                OR ended.payload_json ? 'by', false) AS reconciled,
       EXISTS (SELECT FROM events WHERE order_id = orders.id AND type = 'refunded') AS refunded
FROM orders LEFT JOIN events AS ended
     ON ended.order_id = orders.id AND ended.event_key = 'ended'
WHERE starts_with(orders.id, $1)
"""
_COMPLETED: Final = "completed"
_TIMED_OUT: Final = "timed_out"


class Outcome(Struct, frozen=True):
    """What became of one order; the times are seconds since the epoch."""

    started: float
    """Its workflow: from here on it is accepted, whatever the client got for an answer."""
    workflow: str
    """The status of its workflow, as Temporal names it."""
    state: str
    ended: float | None
    """When the end was written to Postgres."""
    reconciled: bool
    """ReconcileOrders wrote the end, not the order's own workflow."""
    refunded: bool

    @property
    def seconds(self) -> float:
        """From the workflow's start to the end in Postgres."""
        return float("inf") if self.ended is None else self.ended - self.started

    @property
    def in_time(self) -> bool:
        """Tell whether the fleet ended it within its time, fulfilled or not."""
        return (
            self.workflow == _COMPLETED and not self.reconciled and self.seconds <= DEADLINE_SECONDS
        )

    @property
    def fulfilled_in_time(self) -> bool:
        return self.in_time and self.state == "fulfilled"

    @property
    def timed_out(self) -> bool:
        """Tell whether Temporal closed it at the end of its time."""
        return self.workflow == _TIMED_OUT


async def started(client: Client, prefix: str) -> dict[str, tuple[float, str]]:
    """Return when the workflow of each order with this prefix started, and its status."""
    query = f"WorkflowType = '{ORDER_WORKFLOW}' AND WorkflowId STARTS_WITH '{prefix}-'"
    return {
        one.id: (one.start_time.timestamp(), one.status.name.lower() if one.status else "")
        async for one in client.list_workflows(query, page_size=1000)
    }


async def outcomes(
    database: "asyncpg.Pool[asyncpg.Record]", client: Client, prefix: str
) -> dict[str, Outcome]:
    """Return what became of each order with this prefix that is in both."""
    workflows = await started(client, prefix)
    rows = await database.fetch(_ROWS, f"{prefix}-")
    return {
        row["id"]: Outcome(
            *workflows[row["id"]], row["state"], row["ended"], row["reconciled"], row["refunded"]
        )
        for row in rows
        if row["id"] in workflows
    }
