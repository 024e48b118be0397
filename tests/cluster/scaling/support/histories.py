"""Lost work in Temporal's histories."""

import asyncio
from collections import Counter
from collections.abc import Collection
from typing import Final

from temporalio.api.enums.v1 import EventType, TimeoutType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client

from orderfleet.domain.contract import order_of
from tests.cluster.support.release import NAME, Release
from tests.cluster.support.steps import Step

_AT_ONCE: Final = 16
# A worker that shuts down gives up its sticky queue; tasks of a killed worker wait there.
_STICKY: Final = TimeoutType.TIMEOUT_TYPE_SCHEDULE_TO_START


_LOST: Final = ("activity timed out", "activity waited for a timeout", "workflow timed out")


async def check_no_lost_work(release: Release, orders: Collection[str], step: Step) -> None:
    """Check that no activity or workflow of these orders timed out: no pod lost its work."""
    async with release.namespace.forwarded(f"service/{NAME}-temporal", 7233) as port:
        client = await Client.connect(f"127.0.0.1:{port}")
        found = await timeouts(client, orders)
    step.saw(**{name: found[name] for name in ("workflows", *_LOST)} | found)
    # An order and its shipping.
    assert found["workflows"] >= 2 * len(orders)
    assert not any(found[lost] for lost in _LOST), found


async def timeouts(client: Client, orders: Collection[str]) -> Counter[str]:
    """Count the workflows of these orders, children too, and the timeouts in their histories."""
    wanted = set(orders)
    limit = asyncio.Semaphore(_AT_ONCE)

    async def look(workflow_id: str, run_id: str) -> Counter[str]:
        async with limit:
            handle = client.get_workflow_handle(workflow_id, run_id=run_id)
            events = [event async for event in handle.fetch_history_events()]
        return Counter(filter(None, map(_timeout, events)))

    runs = [
        (run.id, run.run_id) async for run in client.list_workflows() if order_of(run.id) in wanted
    ]
    counts = await asyncio.gather(*(look(*run) for run in runs))
    return sum(counts, Counter(workflows=len(runs)))


def _timeout(event: HistoryEvent) -> str:
    match event.event_type:
        case EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT:
            return "activity timed out"
        case EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED:
            # Temporal retries; the history has the last attempt, with the failure before it.
            last = event.activity_task_started_event_attributes.last_failure
            return "activity waited for a timeout" if last.HasField("timeout_failure_info") else ""
        case EventType.EVENT_TYPE_MARKER_RECORDED:
            # A local activity, which its workflow retries.
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
