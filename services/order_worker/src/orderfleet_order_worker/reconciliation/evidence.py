"""What Temporal's histories prove of an order, whatever Postgres has lost of it.

Calls have no time limit here: the caller has a limit for all of them.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Final

from msgspec import Struct
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client
from temporalio.service import RPCError

from orderfleet.domain import contract
from orderfleet.domain.contract import OrderInput, OrderResult, ShippingResult, StepName
from orderfleet.domain.orders import OrderState
from orderfleet.temporal.client import is_absent
from orderfleet.temporal.decoding import decode_first
from orderfleet.temporal.visibility import list_executions

# How a workflow closed without a result, and the end that its order gets.
_CUT_OFF: Final = {
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT: OrderState.TIMED_OUT,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED: OrderState.FAILED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED: OrderState.FAILED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED: OrderState.FAILED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW: OrderState.FAILED,
}


class Evidence(Struct):
    """What an order's history proves. `end` is None while the workflow runs."""

    task_queue: str
    # None if the workflow's input is not an order: then the workflow has done nothing.
    order: OrderInput | None
    end: OrderState | None = None
    reason: str = ""
    charge_begun: bool = False
    # The result of a shipping attempt, which completes only after the row is `fulfilled`.
    shipped: ShippingResult | None = None
    began: datetime | None = None
    # The workflow ids of the shipping attempts, each with its run id.
    shipping: dict[str, str] = {}


async def read_evidence(client: Client, order_id: str) -> Evidence | None:
    """Return what the history of an order's workflow proves; None if there is no such workflow.

    Raises:
        RPCError: Temporal is unavailable.
        PayloadKeyError: a payload's key is missing here.
    """
    events = await _events(client, order_id)
    if not events:
        return None
    started = events[0].workflow_execution_started_event_attributes
    if started.workflow_type.name != contract.ORDER_WORKFLOW:
        return None
    order = await decode_first(client, started.input.payloads, OrderInput)
    began = events[0].event_time.ToDatetime(UTC)
    evidence = Evidence(started.task_queue.name, order, began=began)
    for event in events:
        await _add(client, evidence, event)
        await _add_child(client, evidence, event)
    return evidence


async def dispatched_keys(client: Client, order_id: str, evidence: Evidence) -> list[str]:
    """Return the carrier's keys that shipping attempts used, without those refused for good.

    Raises:
        RPCError: Temporal is unavailable.
    """
    keys = []
    for workflow_id, run_id in evidence.shipping.items():
        events = await _events(client, workflow_id, run_id)
        if events is None or _may_be_out(events):
            attempt = int(workflow_id.rpartition("/")[2])
            keys.append(contract.carrier_key(order_id, attempt))
    return keys


async def workflow_ids(client: Client, query: str) -> AsyncIterator[list[str]]:
    """Yield the ids of all workflows that match a query, page by page."""
    async for page in list_executions(client, query):
        yield [info.execution.workflow_id for info in page]


async def _events(
    client: Client, workflow_id: str, run_id: str | None = None
) -> Sequence[HistoryEvent] | None:
    """Return a workflow's history; None if Temporal does not have it, or no longer."""
    handle = client.get_workflow_handle(workflow_id, run_id=run_id or None)
    try:
        return (await handle.fetch_history()).events
    except RPCError as error:
        if is_absent(error):
            return None
        raise


async def _add(client: Client, evidence: Evidence, event: HistoryEvent) -> None:
    """Add what one event proves."""
    match event.event_type:
        case EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
            scheduled = event.activity_task_scheduled_event_attributes
            evidence.charge_begun |= scheduled.activity_type.name == StepName.CHARGE
        case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED:
            completed = event.workflow_execution_completed_event_attributes
            result = await decode_first(client, completed.result.payloads, OrderResult)
            if result is not None and result.state.ended:
                evidence.end = result.state
                evidence.reason = result.reason or "completed without a record"
            else:
                evidence.end, evidence.reason = _without_result(
                    evidence, "completed with what is no result"
                )
        case kind if kind in _CUT_OFF:
            name = EventType.Name(kind).removeprefix("EVENT_TYPE_WORKFLOW_EXECUTION_").lower()
            evidence.end, evidence.reason = _without_result(
                evidence, f"workflow {name}", _CUT_OFF[kind]
            )


async def _add_child(client: Client, evidence: Evidence, event: HistoryEvent) -> None:
    """Add what one event proves of a shipping attempt."""
    begun = event.start_child_workflow_execution_initiated_event_attributes
    if begun.workflow_type.name == contract.SHIPPING_WORKFLOW:
        # The parent may have closed before the child's start event: then only the id is known.
        evidence.shipping[begun.workflow_id] = ""
    started = event.child_workflow_execution_started_event_attributes
    if started.workflow_type.name == contract.SHIPPING_WORKFLOW:
        run = started.workflow_execution
        evidence.shipping[run.workflow_id] = run.run_id
    done = event.child_workflow_execution_completed_event_attributes
    if done.workflow_type.name == contract.SHIPPING_WORKFLOW:
        evidence.shipped = await decode_first(client, done.result.payloads, ShippingResult)


def _without_result(
    evidence: Evidence, reason: str, end: OrderState = OrderState.FAILED
) -> tuple[OrderState, str]:
    """Return the end and its reason for an order whose workflow closed without a result."""
    if evidence.shipped is not None:
        return OrderState.FULFILLED, f"{reason}, its package shipped"
    return end, reason


def _may_be_out(events: Sequence[HistoryEvent]) -> bool:
    """Tell whether a shipping attempt may have handed its package over."""
    dispatches = {
        event.event_id
        for event in events
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
        and event.activity_task_scheduled_event_attributes.activity_type.name == StepName.DISPATCH
    }
    for event in events:
        failed = event.activity_task_failed_event_attributes
        if failed.failure.application_failure_info.type == contract.CARRIER_REFUSED:
            dispatches.discard(failed.scheduled_event_id)
    return bool(dispatches)
