"""The command `history`: a workflow's events."""

import json
from collections.abc import Iterator
from datetime import UTC
from typing import Any, Final

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent

from orderfleet.temporal.decoding import decode_message
from orderfleet_cli.printing import moment, one_line, show
from orderfleet_cli.temporal.connection import call_temporal, open_temporal

# The fields that distinguish events of a type, in the order of printing.
_DETAILS: Final = (
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
# Markers of the SDK for local activities and patches, and where they have the id.
_MARKERS: Final = {
    "core_local_activity": ("data", "activity_id"),
    "core_patch": ("patch-data", "id"),
}


async def show_history(workflow_id: str, *, as_json: bool) -> None:
    """Show the history of a workflow."""
    client = await open_temporal()
    workflow_history = await call_temporal(client.get_workflow_handle(workflow_id).fetch_history())
    for event in workflow_history.events:
        decode_message(client.data_converter, event)
    if as_json:
        print(workflow_history.to_json())
        return
    scheduled: dict[int, str] = {}
    for event in workflow_history.events:
        attributes = getattr(event, event.WhichOneof("attributes") or "", None)
        name = str(_at(attributes, "activity_type.name"))
        if name:
            scheduled[event.event_id] = name
        # Later events refer to the activity by the id of the event that scheduled it.
        activity = scheduled.get(_at(attributes, "scheduled_event_id") or 0, "")
        details = " ".join(filter(None, (activity, *_details(attributes))))
        show(f"{_head(event)}  {one_line(details)}".rstrip())


def _head(event: HistoryEvent) -> str:
    kind = EventType.Name(event.event_type).removeprefix("EVENT_TYPE_").lower()
    time = moment(event.event_time.ToDatetime(UTC).isoformat(timespec="milliseconds"))
    return f"{event.event_id:>3}  {time}  {kind:<44}"


def _details(attributes: Any) -> Iterator[str]:
    if marker := _MARKERS.get(str(_at(attributes, "marker_name"))):
        detail, name = marker
        yield str(json.loads(attributes.details[detail].payloads[0].data)[name])
    for path in _DETAILS:
        value = _at(attributes, path)
        if value and not (path == "attempt" and value == 1):
            yield f"attempt {value}" if path == "attempt" else str(value)


def _at(message: Any, path: str) -> Any:
    """Return the field of a message at a path, or an empty string if there is no such field."""
    for name in path.split("."):
        message = getattr(message, name, "")
    return message
