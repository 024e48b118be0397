"""The audit log, the end, its time, and what was streamed of it."""

from collections.abc import Iterator, Sequence
from typing import Final

from orderfleet.domain.event_states import state_after
from orderfleet.domain.events import EventType
from orderfleet.domain.orders import OrderState
from tests.chaos.recording import API, POSTGRES, WORKERS, Absence, Case

DEADLINE_SECONDS: Final = 15.0
# After a process is back, its clients reconnect; a lost task of a dead worker is missed by then.
AFTERMATH_SECONDS: Final = 4.0
_ENDS: Final = frozenset(state.value for state in OrderState if state.ended)
# A fulfilled order has each of these, in this sequence.
_PATH: Final = (
    EventType.RECEIVED,
    EventType.VALIDATED,
    EventType.REVIEWED,
    EventType.CHARGING,
    EventType.CHARGED,
    EventType.PREPARED,
    EventType.DISPATCHING,
    EventType.FULFILLED,
)


def accepted_ends(case: Case) -> Iterator[str]:
    """Judge that nothing accepted is lost, and that nothing is left to do."""
    if case.row is None:
        if case.accepted:
            yield "accepted, and has no row"
    elif not OrderState(case.row.state).ended:
        yield f"still {case.row.state}"
    for run in case.runs:
        if run.status == "running":
            yield f"the {run.type} {run.workflow_id} still runs"


def log_is_gapless(case: Case) -> Iterator[str]:
    """Judge the audit log: complete, in sequence, and in agreement with the row."""
    if case.row is None:
        if case.events:
            yield "events without a row"
        return
    numbers = [event.number for event in case.events]
    if numbers != list(range(1, case.row.event_count + 1)):
        yield f"events {numbers}, and the row counts {case.row.event_count}"
    times = [event.at for event in case.events]
    if times != sorted(times):
        yield f"the times are not in sequence: {times}"
    if len(keys := {event.key for event in case.events}) != len(case.events):
        yield f"{len(case.events)} events with {len(keys)} keys"
    ends = [event.type for event in case.events if event.type in _ENDS]
    replaced = case.by_key("delivered") is not None
    if case.state in _ENDS and (len(ends) != 1 + replaced or ends[-1] != case.state):
        yield f"{case.state}, and the ends in its log are {ends}"
    if (after := state_after(case.types)) != case.state and case.state in _ENDS:
        yield f"{case.state}, and by its log {after}"
    yield from _addresses(case)
    yield from _path(case)


def _addresses(case: Case) -> Iterator[str]:
    moved = [event for event in case.events if event.type == EventType.ADDRESS_UPDATED]
    if case.row is not None and moved and moved[-1].payload["address"] != case.row.address:
        yield f"moved to {moved[-1].payload['address']}, and the row has {case.row.address}"


def _path(case: Case) -> Iterator[str]:
    """Judge the sequence of the steps, unless what Postgres lost was restored."""
    restored = any(event.payload.get("by") == "ReconcileOrders" for event in case.events)
    if restored or case.state not in _ENDS:
        return
    steps = [type_ for type_ in dict.fromkeys(case.types) if type_ in _PATH]
    if case.state == OrderState.FULFILLED and steps != list(_PATH):
        yield f"fulfilled by the steps {steps}"
    # A capture that is recorded after the end skips no step.
    forward = [_PATH.index(EventType(step)) for step in steps]
    if EventType.PREPARED in steps and EventType.CHARGED not in steps:
        yield "prepared without a charge on record"
    if forward != sorted(forward):
        yield f"steps out of sequence: {steps}"


def in_time(case: Case) -> Iterator[str]:
    """Judge the 15 s of an order whose servers were there all the time."""
    began = _began(case)
    # A cancel is an end under its own key.
    end = next((event for event in case.events if event.type in _ENDS), None)
    if began is None or end is None or is_excused(case.absences, began):
        return
    if (took := end.at - began) > DEADLINE_SECONDS:
        yield f"ended after {took:.1f} s, as {end.type}: {end.payload.get('reason', '')}"


def is_judged_by_time(case: Case) -> bool:
    """Tell whether nothing excuses an order from its 15 s."""
    began = _began(case)
    return began is not None and not is_excused(case.absences, began)


def is_excused(absences: Sequence[Absence], began: float) -> bool:
    """Tell whether servers were away in the 15 s from `began`.

    Those are Postgres, Temporal, the workers of a queue, and the machine, which is away while it
    does not even run this process in time. The loss of one worker of two is no excuse.
    """
    during = [
        absence
        for absence in absences
        if absence.since < began + DEADLINE_SECONDS and absence.until + AFTERMATH_SECONDS > began
    ]
    return any(absence.what not in {API, *WORKERS} for absence in during)


def _began(case: Case) -> float | None:
    """Return when the order was accepted: its workflow's start, or its row's time."""
    started = [run.started for run in case.runs if run.workflow_id == case.order_id]
    return min(started) if started else case.row.created if case.row is not None else None


def streams_are_true(case: Case) -> Iterator[str]:
    """Judge the order's event stream and its part of the feed: each event, once, in sequence."""
    log = [(event.number, event.type) for event in case.events]
    for stream in case.streams:
        if stream.events != log[: len(stream.events)]:
            yield f"streamed {stream.events}, and the log is {log}"
        elif stream.complete and len(stream.events) < _complete_at(case):
            yield f"the stream was called complete after {len(stream.events)} of {len(log)} events"
    # A crash may take `received` along, which the order's first step then writes again.
    crashed = any(absence.what == POSTGRES for absence in case.absences)
    feed = list(dict.fromkeys(case.feed)) if crashed else case.feed
    if case.feed and feed != [event.number for event in case.events]:
        yield f"the feed had the events {case.feed} of {len(log)}"


def _complete_at(case: Case) -> int:
    """Return how many events an order has when nothing is owed; refusals may follow.

    A cancel that overtakes the charge is an end with nothing owed. The workflow, which knows of the
    charge alone, may then take its record for lost, and close the payment's key to be sure.
    """
    last = {*_ENDS, EventType.REFUNDED, EventType.VOIDED}
    restored = case.by_key("charging/restored")
    before = float("inf") if restored is None else restored.number
    return max(
        (event.number for event in case.events if event.type in last and event.number < before),
        default=0,
    )
