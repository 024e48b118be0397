"""Reads what a run has left: rows, ledgers, histories."""

import asyncio
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final, TypeVar

import msgspec
from msgspec import Struct
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowExecution, WorkflowHistory

from orderfleet.domain.contract import (
    ORDER_STATE,
    ORDER_WORKFLOW,
    REFUND_WORKFLOW,
    SHIPPING_WORKFLOW,
    UNRECORDED,
)
from orderfleet.polling import poll
from orderfleet.store.pool import Pool
from tests.chaos.recording import (
    EventLine,
    LedgerCharge,
    LedgerShipment,
    Payment,
    QueuedChange,
    ReplayFailure,
    Row,
    Run,
)

S = TypeVar("S", bound=Struct)

_OF_ORDERS: Final = frozenset({ORDER_WORKFLOW, SHIPPING_WORKFLOW, REFUND_WORKFLOW})
_QUERIES: Final[dict[type[Struct], str]] = {
    Row: "SELECT id, payment_id, amount::text, currency, state, address_json AS address,"
    " items_json AS items, event_count, extract(epoch FROM created_at)::float8 AS created"
    " FROM orders",
    EventLine: "SELECT order_id, number, type, event_key AS key, payload_json AS payload,"
    " extract(epoch FROM ts)::float8 AS at FROM events",
    Payment: "SELECT payment_id, order_id, status FROM payments",
    LedgerCharge: "SELECT key, order_id, amount::text, currency, status FROM gateway.charges",
    LedgerShipment: "SELECT key, order_id, address_json AS address, status FROM gateway.shipments",
    QueuedChange: "SELECT order_id, event_key FROM change_requests",
}
_OPEN: Final = """
SELECT (SELECT count(*) FROM orders
        WHERE state NOT IN ('fulfilled', 'cancelled', 'rejected', 'failed', 'timed_out'))
     + (SELECT count(*) FROM payments JOIN orders ON orders.id = payments.order_id
        WHERE payments.status = 'pending'
           OR payments.status = 'captured' AND orders.state <> 'fulfilled')
     + (SELECT count(*) FROM change_requests)
"""
_AT_ONCE: Final = 10


async def settled(pool: Pool, client: Client, patience: float) -> bool:
    """Wait until nothing is open: orders, payments, queued changes, workflows."""

    async def is_settled() -> bool:
        if await pool.fetchval(_OPEN):
            return False
        types = " OR ".join(f"WorkflowType = '{type_}'" for type_ in sorted(_OF_ORDERS))
        running = await client.count_workflows(f"ExecutionStatus = 'Running' AND ({types})")
        return not running.count

    return await poll(is_settled, seconds=patience, pause=1.0)


async def read(pool: Pool, type_: type[S]) -> list[S]:
    """Return all rows of a type."""
    rows = await pool.fetch(_QUERIES[type_])
    return [msgspec.convert(dict(row), type_) for row in rows]


async def read_runs(client: Client, folder: Path) -> list[Run]:
    """Return the workflows of orders, and write every workflow's history into the folder."""
    executions = [execution async for execution in client.list_workflows(page_size=1000)]
    places = asyncio.Semaphore(_AT_ONCE)

    async def read_run(number: int, execution: WorkflowExecution) -> Run:
        async with places:
            handle = client.get_workflow_handle(execution.id, run_id=execution.run_id)
            history = await handle.fetch_history()
        path = folder / f"{number:06}.json"
        path.write_text(json.dumps({"workflow_id": execution.id, **history.to_json_dict()}))
        return _run(execution, history)

    runs = await asyncio.gather(
        *(read_run(number, execution) for number, execution in enumerate(executions))
    )
    return [run for run in runs if run.type in _OF_ORDERS]


def _run(execution: WorkflowExecution, history: WorkflowHistory) -> Run:
    scheduled, result = set(), None
    for event in history.events:
        match event.event_type:
            case EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
                scheduled.add(event.activity_task_scheduled_event_attributes.activity_type.name)
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED:
                payloads = event.workflow_execution_completed_event_attributes.result.payloads
                result = json.loads(payloads[0].data) if payloads else None
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED:
                result = event.workflow_execution_failed_event_attributes.failure.message
    status = execution.status
    return Run(
        workflow_id=execution.id,
        type=execution.workflow_type,
        status="unknown" if status is None else status.name.lower(),
        started=execution.start_time.timestamp(),
        closed=None if execution.close_time is None else execution.close_time.timestamp(),
        result=result,
        recorded=execution.typed_search_attributes.get(ORDER_STATE) != UNRECORDED,
        scheduled=sorted(scheduled),
    )


async def replay(histories: Path, env: Mapping[str, str]) -> list[ReplayFailure]:
    """Replay all histories in a process of its own, which may have another source tree."""
    with NamedTemporaryFile() as file:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.chaos.replay", str(histories), file.name), env=dict(env)
        )
        status = await process.wait()
        if status:
            raise RuntimeError(f"the replay exited with status {status}")
        return msgspec.json.decode(file.read(), type=list[ReplayFailure])
