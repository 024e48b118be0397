"""Orders that Postgres may have lost, when a standby has taken over: Temporal knows them.

Until their rows are written again, another order might come with a payment id of theirs: both would
be delivered, and the gateway would be asked for one payment. So a server that has taken over is
compared with Temporal before it takes the first new order. See
`docs/decisions/0038-postgres-that-fails-over.md`.
"""

import asyncio
from contextvars import Context
from datetime import UTC, datetime
from time import monotonic
from typing import Any, Final

import structlog
from temporalio.client import Client
from temporalio.service import RPCError

from orderfleet.domain.contract import ORDER_WORKFLOW, OrderInput
from orderfleet.domain.orders import check_order, is_order_id
from orderfleet.domain.policies import RECONCILE_AT_ONCE, RECONCILE_OVERLAP
from orderfleet.store import compared_servers
from orderfleet.store.pool import Pool
from orderfleet.store.reconciliation import unknown_orders
from orderfleet.store.transitions import receive
from orderfleet.temporal.client import is_absent
from orderfleet.temporal.decoding import decode_first
from orderfleet.temporal.failure_converter import PayloadKeyError
from orderfleet.temporal.visibility import list_executions, of_queue

log = structlog.stdlib.get_logger(__name__)

# 5 minutes at 100 orders a second are 30 pages.
_SECONDS: Final = 60.0


class LostOrders:
    """Writes lost rows again, once at a time for all requests."""

    def __init__(self) -> None:
        self._running: asyncio.Task[None] | None = None

    async def restore(self, pool: Pool, client: Client, task_queue: str, server: datetime) -> None:
        """Compare a server with Temporal, and record that. Who gives up waiting does not end it.

        Raises:
            UNAVAILABLE: Postgres is unavailable, or the comparison took too long.
            RPCError: Temporal is unavailable.
        """
        if self._running is None or self._running.done():
            work = _restore(pool, client, task_queue, server)
            # In a context of its own: it does not log in the name of this request's order.
            self._running = asyncio.create_task(work, context=Context())
            self._running.add_done_callback(_retrieve_exception)
        await asyncio.shield(self._running)


async def _restore(pool: Pool, client: Client, task_queue: str, server: datetime) -> None:
    began, restored = monotonic(), 0
    since = datetime.now(UTC) - RECONCILE_OVERLAP
    query = f"{of_queue(ORDER_WORKFLOW, task_queue)} AND StartTime > '{since.isoformat()}'"
    async with asyncio.timeout(_SECONDS):
        async for page in list_executions(client, query):
            ids = {info.execution.workflow_id for info in page}
            unknown = await unknown_orders(pool, sorted(filter(is_order_id, ids)))
            slots = asyncio.Semaphore(RECONCILE_AT_ONCE)
            written = await asyncio.gather(
                *(_write_row(pool, client, order_id, slots) for order_id in unknown)
            )
            restored += sum(written)
        await compared_servers.record(pool, server)
    seconds = round(monotonic() - began, 1)
    log.warning("another server of Postgres", restored_orders=restored, seconds=seconds)


async def _write_row(pool: Pool, client: Client, order_id: str, slots: asyncio.Semaphore) -> bool:
    async with slots:
        order = await _read_order(client, order_id)
        by = {"actor": order.actor} if order is not None and order.actor else {}
        return order is not None and await receive(pool, order_id, order, by)


async def _read_order(client: Client, order_id: str) -> OrderInput | None:
    """Return the order with which a workflow was started; None if it was none.

    Any client may have started it: its input may be anything.

    Raises:
        RPCError: Temporal is unavailable.
    """
    handle: Any = client.get_workflow_handle(order_id)
    try:
        first = await anext(aiter(handle.fetch_history_events(page_size=1)))
    except RPCError as error:
        if is_absent(error):
            return None
        raise
    payloads = first.workflow_execution_started_event_attributes.input.payloads
    reason = "anything else"
    try:
        order = await decode_first(client, payloads, OrderInput)
        if order is not None:
            check_order(order)
            return order
    except (PayloadKeyError, ValueError) as error:
        reason = str(error)
    log.warning("no order in the workflow's input", order_id=order_id, error=reason)
    return None


def _retrieve_exception(task: asyncio.Task[None]) -> None:
    """Of a comparison for which nobody waits any more; the next one fails as well, or does not."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.warning("cannot compare Postgres with Temporal", error=str(error))
