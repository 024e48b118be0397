"""Temporal's description of a workflow."""

from collections.abc import Iterator
from datetime import datetime

from msgspec import Struct
from temporalio.api.enums.v1 import PendingActivityState
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.client import WorkflowExecutionDescription

from orderfleet_cli.printing import fields, moment, one_line, show, show_json, table
from orderfleet_cli.temporal.connection import ask, open_temporal


class Activity(Struct, frozen=True):
    """An activity that has not ended."""

    type: str
    state: str
    attempt: int
    last_failure: str


class Child(Struct, frozen=True):
    """A child workflow that has not ended."""

    id: str
    type: str


class Description(Struct, frozen=True):
    """What Temporal says of a workflow."""

    id: str
    run_id: str
    type: str
    status: str
    task_queue: str
    start: datetime
    close: datetime | None
    history_length: int
    search_attributes: dict[str, str]
    pending_activities: list[Activity]
    pending_children: list[Child]


async def show_description(workflow_id: str, *, as_json: bool) -> None:
    """Show the description of a workflow."""
    client = await open_temporal()
    found = _description(await ask(client.get_workflow_handle(workflow_id).describe()))
    if as_json:
        show_json(found)
        return
    show(fields(_fields(found)))
    if found.pending_activities:
        columns = ("pending activity", "state", "attempt", "last failure")
        activities = (
            (one.type, one.state, str(one.attempt), one.last_failure)
            for one in found.pending_activities
        )
        show("", table(*columns, rows=activities))
    if found.pending_children:
        children = ((one.id, one.type) for one in found.pending_children)
        show("", table("pending child", "type", rows=children))


def _description(found: WorkflowExecutionDescription) -> Description:
    raw = found.raw_description
    return Description(
        id=found.id,
        run_id=found.run_id,
        type=found.workflow_type,
        status=found.status.name if found.status else "",
        task_queue=found.task_queue,
        start=found.start_time,
        close=found.close_time,
        history_length=found.history_length,
        search_attributes={
            pair.key.name: _text(pair.value) for pair in found.typed_search_attributes
        },
        pending_activities=[_activity(one) for one in raw.pending_activities],
        pending_children=[
            Child(one.workflow_id, one.workflow_type_name) for one in raw.pending_children
        ],
    )


def _activity(pending: PendingActivityInfo) -> Activity:
    return Activity(
        type=pending.activity_type.name,
        state=PendingActivityState.Name(pending.state).removeprefix("PENDING_ACTIVITY_STATE_"),
        attempt=pending.attempt,
        last_failure=one_line(pending.last_failure.message),
    )


def _fields(found: Description) -> Iterator[tuple[str, str]]:
    yield "workflow", found.id
    yield "type", found.type
    yield "status", found.status
    yield "run id", found.run_id
    yield "task queue", found.task_queue
    yield "start (UTC)", moment(found.start.isoformat())
    yield "close (UTC)", moment(found.close.isoformat()) if found.close else ""
    yield "events", str(found.history_length)
    yield from found.search_attributes.items()


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
