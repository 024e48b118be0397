"""Who worked on an order, by its history and those of its children."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from temporalio.api.enums.v1 import EventType, TimeoutType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client

from orderfleet.domain.contract import REFUND_WORKFLOW

_AT_ONCE: Final = 10
_TASK_STARTED: Final = EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED
_TASK_FAILED: Final = EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED
_START_TO_CLOSE: Final = TimeoutType.TIMEOUT_TYPE_START_TO_CLOSE


@dataclass
class Trace:
    """The processes that worked on an order and its shipping, and what failed.

    A refund goes on with the current build, so its processes do not count; its tasks do.
    """

    pids: set[int] = field(default_factory=set)
    # Until a worker took its first workflow task.
    waited: float = 0.0
    failed_tasks: int = 0
    # Of all its workflows.
    events: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return "\n".join(self.events)


async def trace_orders(client: Client, order_ids: Iterable[str]) -> dict[str, Trace]:
    """Read the histories of orders."""
    slots = asyncio.Semaphore(_AT_ONCE)

    async def trace(order_id: str) -> tuple[str, Trace]:
        async with slots:
            return order_id, await _trace(client, order_id)

    return dict(await asyncio.gather(*map(trace, order_ids)))


async def _trace(client: Client, order_id: str) -> Trace:
    trace = Trace()
    events = await _add(trace, client, order_id)
    first = next((event for event in events if event.event_type == _TASK_STARTED), events[-1])
    waited = first.event_time.ToDatetime() - events[0].event_time.ToDatetime()
    trace.waited = waited.total_seconds()
    for event in events:
        if event.event_type == EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED:
            child = event.child_workflow_execution_started_event_attributes
            counts = child.workflow_type.name != REFUND_WORKFLOW
            await _add(trace, client, child.workflow_execution.workflow_id, counts=counts)
    return trace


async def _add(
    trace: Trace, client: Client, workflow_id: str, *, counts: bool = True
) -> list[HistoryEvent]:
    """Add a workflow to a trace; its processes only if they count."""
    events = list((await client.get_workflow_handle(workflow_id).fetch_history()).events)
    trace.failed_tasks += sum(map(_is_failed_task, events))
    trace.events += [f"{workflow_id}:", *map(_shown, events)]
    if counts:
        identities = filter(None, map(_identity, events))
        trace.pids |= {int(identity.partition("@")[0]) for identity in identities}
    return events


def _shown(event: HistoryEvent) -> str:
    name = EventType.Name(event.event_type).removeprefix("EVENT_TYPE_").lower()
    return f"{event.event_time.ToDatetime():%H:%M:%S.%f} {name} {_identity(event)}".rstrip()


def _identity(event: HistoryEvent) -> str:
    """Return which worker began what the event says, or nothing."""
    if event.event_type == _TASK_STARTED:
        return event.workflow_task_started_event_attributes.identity
    if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED:
        return event.activity_task_started_event_attributes.identity
    return ""


def _is_failed_task(event: HistoryEvent) -> bool:
    """Return whether a worker failed a workflow task, or did not complete it in time."""
    if event.event_type == _TASK_FAILED:
        return True
    timed_out = event.workflow_task_timed_out_event_attributes
    return (
        event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT
        and timed_out.timeout_type == _START_TO_CLOSE
    )
