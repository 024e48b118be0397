"""The command `describe`: Temporal's description of a workflow."""

from collections.abc import Iterator
from datetime import datetime

from msgspec import Struct
from temporalio.api.enums.v1 import PendingActivityState
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.client import WorkflowExecutionDescription

from orderfleet.temporal.decoding import decode_message
from orderfleet_cli.printing import fields, moment, one_line, show, show_json, table
from orderfleet_cli.temporal.connection import call_temporal, open_temporal


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
    """A workflow, as Temporal describes it."""

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
    execution = await call_temporal(client.get_workflow_handle(workflow_id).describe())
    decode_message(client.data_converter, execution.raw_description)
    description = _describe(execution)
    if as_json:
        show_json(description)
        return
    show(fields(_fields(description)))
    if description.pending_activities:
        columns = ("pending activity", "state", "attempt", "last failure")
        activities = (
            (activity.type, activity.state, str(activity.attempt), activity.last_failure)
            for activity in description.pending_activities
        )
        show("", table(*columns, rows=activities))
    if description.pending_children:
        children = ((child.id, child.type) for child in description.pending_children)
        show("", table("pending child", "type", rows=children))


def _describe(execution: WorkflowExecutionDescription) -> Description:
    raw = execution.raw_description
    return Description(
        id=execution.id,
        run_id=execution.run_id,
        type=execution.workflow_type,
        status=execution.status.name if execution.status else "",
        task_queue=execution.task_queue,
        start=execution.start_time,
        close=execution.close_time,
        history_length=execution.history_length,
        search_attributes={
            pair.key.name: _text(pair.value) for pair in execution.typed_search_attributes
        },
        pending_activities=[_activity(pending) for pending in raw.pending_activities],
        pending_children=[
            Child(child.workflow_id, child.workflow_type_name) for child in raw.pending_children
        ],
    )


def _activity(pending: PendingActivityInfo) -> Activity:
    return Activity(
        type=pending.activity_type.name,
        state=PendingActivityState.Name(pending.state).removeprefix("PENDING_ACTIVITY_STATE_"),
        attempt=pending.attempt,
        last_failure=one_line(pending.last_failure.message),
    )


def _fields(description: Description) -> Iterator[tuple[str, str]]:
    yield "workflow", description.id
    yield "type", description.type
    yield "status", description.status
    yield "run id", description.run_id
    yield "task queue", description.task_queue
    yield "start (UTC)", moment(description.start.isoformat())
    yield "close (UTC)", moment(description.close.isoformat()) if description.close else ""
    yield "events", str(description.history_length)
    yield from description.search_attributes.items()


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
