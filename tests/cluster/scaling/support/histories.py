"""What Temporal's histories say of lost work."""

import asyncio
from collections import Counter
from collections.abc import Collection
from typing import Final

from temporalio.api.enums.v1 import EventType, TimeoutType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client

from orderfleet.domain.contract import order_of

_AT_ONCE: Final = 16
# A worker that is shut down gives its sticky queue back; one that is killed lets tasks wait there.
_STICKY: Final = TimeoutType.TIMEOUT_TYPE_SCHEDULE_TO_START


async def timeouts(client: Client, orders: Collection[str]) -> Counter[str]:
    """Count the workflows of these orders, children too, and the timeouts in their histories."""
    wanted = set(orders)
    limit = asyncio.Semaphore(_AT_ONCE)

    async def look(workflow_id: str, run_id: str) -> Counter[str]:
        async with limit:
            handle = client.get_workflow_handle(workflow_id, run_id=run_id)
            events = [event async for event in handle.fetch_history_events()]
        return Counter(filter(None, map(_timeout, events)))

    found = [
        (one.id, one.run_id) async for one in client.list_workflows() if order_of(one.id) in wanted
    ]
    looked = await asyncio.gather(*(look(*one) for one in found))
    return sum(looked, Counter(workflows=len(found)))


def _timeout(event: HistoryEvent) -> str:
    match event.event_type:
        case EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT:
            return "activity timed out"
        case EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED:
            # Temporal repeats an attempt by itself; the history has the last one, with the reason.
            last = event.activity_task_started_event_attributes.last_failure
            return "activity waited for a timeout" if last.HasField("timeout_failure_info") else ""
        case EventType.EVENT_TYPE_MARKER_RECORDED:
            # Of a local activity, which its workflow tries again.
            failure = event.marker_recorded_event_attributes.failure
            late = failure.HasField("timeout_failure_info")
            return "activity waited for a timeout" if late else ""
        case EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT:
            kind = event.workflow_task_timed_out_event_attributes.timeout_type
            return "sticky task waited" if kind == _STICKY else "workflow task timed out"
        case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT:
            return "workflow timed out"
        case _:
            return ""
