"""A workflow's history."""

import json
from collections.abc import Iterator
from datetime import UTC
from typing import Any, Final

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent

from orderfleet_cli.printing import moment, one_line, show
from orderfleet_cli.temporal.connection import ask, open_temporal

# What tells one event from another, where it has it.
_TELLING: Final = (
    "activity_type.name",
    "workflow_type.name",
    "workflow_execution.workflow_id",
    "signal_name",
    "accepted_request.input.name",
    "timer_id",
    "attempt",
    "failure.message",
    "failure.cause.message",
)
# How the SDK marks a local activity and a patch, and where it says which one.
_MARKED: Final = {
    "core_local_activity": ("data", "activity_id"),
    "core_patch": ("patch-data", "id"),
}


async def show_history(workflow_id: str, *, as_json: bool) -> None:
    """Show the history of a workflow."""
    client = await open_temporal()
    found = await ask(client.get_workflow_handle(workflow_id).fetch_history())
    if as_json:
        print(found.to_json())
        return
    scheduled: dict[int, str] = {}
    for event in found.events:
        attributes = getattr(event, event.WhichOneof("attributes") or "", None)
        name = str(_at(attributes, "activity_type.name"))
        if name:
            scheduled[event.event_id] = name
        # What follows names the activity by the number of the event that scheduled it.
        said = [scheduled.get(_at(attributes, "scheduled_event_id") or 0, "")]
        said += _said(attributes)
        show(f"{_head(event)}  {one_line(' '.join(part for part in said if part))}".rstrip())


def _head(event: HistoryEvent) -> str:
    kind = EventType.Name(event.event_type).removeprefix("EVENT_TYPE_").lower()
    time = moment(event.event_time.ToDatetime(UTC).isoformat(timespec="milliseconds"))
    return f"{event.event_id:>3}  {time}  {kind:<44}"


def _said(attributes: Any) -> Iterator[str]:
    if marked := _MARKED.get(str(_at(attributes, "marker_name"))):
        where, name = marked
        yield str(json.loads(attributes.details[where].payloads[0].data)[name])
    for path in _TELLING:
        value = _at(attributes, path)
        if value and not (path == "attempt" and value == 1):
            yield f"attempt {value}" if path == "attempt" else str(value)


def _at(message: Any, path: str) -> Any:
    """Return a field of a message by its path, or an empty text if it has no such field."""
    for name in path.split("."):
        message = getattr(message, name, "")
    return message
