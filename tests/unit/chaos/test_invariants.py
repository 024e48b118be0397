"""Each invariant of chaos finds a recording that breaks it, and a good recording breaks none."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from tests.chaos.invariants import INVARIANTS, judge
from tests.chaos.recording import (
    CANCEL,
    MOVE,
    PLACE,
    REVIEW,
    SHOW,
    STATUS,
    Absence,
    QueuedChange,
    Recording,
    ReplayFailure,
)
from tests.unit.chaos.recordings import (
    BEGAN,
    CANCELLED,
    ELSEWHERE,
    FULFILLED,
    HOME,
    call,
    charge,
    good,
    package,
    placed,
    run,
)

Spoil = Callable[[Recording], Recording]


def broken(recording: Recording) -> set[int]:
    return {violation.number for violation in judge(recording)}


def replaced(list_: str, of: str, **values: Any) -> Spoil:
    """Change the first item of a list that belongs to the order."""

    def spoil(recording: Recording) -> Recording:
        items = list(getattr(recording, list_))
        at = next(
            at
            for at, item in enumerate(items)
            if of in {getattr(item, name, "") for name in ("order_id", "id", "workflow_id")}
        )
        items[at] = msgspec.structs.replace(items[at], **values)
        return msgspec.structs.replace(recording, **{list_: items})

    return spoil


def added(list_: str, *items: Any) -> Spoil:
    def spoil(recording: Recording) -> Recording:
        return msgspec.structs.replace(recording, **{list_: [*getattr(recording, list_), *items]})

    return spoil


def without(list_: str, of: str) -> Spoil:
    def spoil(recording: Recording) -> Recording:
        left = [item for item in getattr(recording, list_) if item.order_id != of]
        return msgspec.structs.replace(recording, **{list_: left})

    return spoil


def event(order_id: str, type_: str, **values: Any) -> Spoil:
    """Change the order's event of a type."""

    def spoil(recording: Recording) -> Recording:
        events = [
            msgspec.structs.replace(line, **values)
            if (line.order_id, line.type) == (order_id, type_)
            else line
            for line in recording.events
        ]
        return msgspec.structs.replace(recording, events=events)

    return spoil


def absent(what: str, since: float, until: float) -> Absence:
    return Absence(what=what, since=BEGAN + since, until=BEGAN + until)


LATE = event(FULFILLED, "fulfilled", at=BEGAN + 16)

BAD: dict[int, list[Spoil]] = {
    1: [
        replaced("rows", FULFILLED, state="dispatching"),
        added("calls", placed("plain-1-9")),
        added("runs", run(f"{FULFILLED}/refund", "RefundWorkflow", status="running")),
    ],
    2: [
        added("charges", charge(FULFILLED, "captured", key="pay-again")),
        added("charges", charge(FULFILLED, "refunded", key="pay-again")),
        replaced("charges", FULFILLED, amount="2.00"),
        replaced("charges", FULFILLED, key="pay-other"),
        added("charges", charge("plain-1-9", "captured")),
    ],
    3: [
        replaced("charges", CANCELLED, status="captured"),
        replaced("charges", FULFILLED, status="refunded"),
        without("charges", FULFILLED),
        replaced("payments", CANCELLED, status="captured"),
        without("payments", CANCELLED),
        event(CANCELLED, "refunded", type="voided"),
    ],
    4: [
        without("shipments", FULFILLED),
        added("shipments", package(FULFILLED, "taken", ELSEWHERE, attempt=2)),
        added("shipments", package(CANCELLED, "taken", HOME)),
        replaced("shipments", FULFILLED, address=HOME),
    ],
    5: [
        added("calls", call(FULFILLED, CANCEL, 200, key="c9", answer={"change_id": "c9"})),
        added("calls", call(FULFILLED, MOVE, 200, key="m9", body={"address": HOME})),
        added("calls", call(FULFILLED, MOVE, 200, key="m1", body={"address": HOME})),
        added("calls", call(FULFILLED, REVIEW, 200, key="r1", body={"approved": False})),
        added("calls", call(CANCELLED, REVIEW, 200, key="r9", body={"approved": True})),
        added("calls", placed(FULFILLED, body={"payment_id": "another"})),
        replaced("rows", FULFILLED, amount="2.00"),
        added("calls", call(FULFILLED, STATUS, 200, answer={"state": "timed_out"})),
        added(
            "calls",
            call(
                FULFILLED,
                SHOW,
                200,
                answer={"state": "received", "events": [{"number": 1, "type": "validated"}]},
            ),
        ),
    ],
    6: [
        added("calls", placed(FULFILLED, 409, answer={"detail": "already exists with other"})),
        added("calls", placed("plain-1-9", 409, answer={"detail": "belongs to another order"})),
        added("calls", call(CANCELLED, CANCEL, 409, key="c1", answer={"detail": "too late"})),
        added(
            "calls",
            call(FULFILLED, MOVE, 409, key="m9", answer={"detail": "already dispatched"}),
        ),
        added(
            "calls",
            call(FULFILLED, CANCEL, 409, key="c9", answer={"detail": "order is fulfilled"}),
        ),
        added("calls", call(FULFILLED, REVIEW, 409, key="r1", answer={"detail": "over"})),
        added("calls", call(FULFILLED, MOVE, 422, key="m1", body={"address": ELSEWHERE})),
        added("calls", call(FULFILLED, STATUS, 404)),
    ],
    7: [
        added("calls", call(FULFILLED, CANCEL, 202, key="c9")),
        added("calls", call(FULFILLED, MOVE, 202, key="m9", body={"address": HOME})),
        added("queued", QueuedChange(order_id=FULFILLED, event_key="cancelled/c9")),
    ],
    8: [
        event(FULFILLED, "charged", number=60),
        replaced("rows", FULFILLED, event_count=11),
        event(FULFILLED, "charged", key="reviewed"),
        event(FULFILLED, "charged", at=BEGAN),
        event(CANCELLED, "refunded", type="failed"),
        replaced("rows", FULFILLED, address=HOME),
        event(FULFILLED, "reviewed", type="review_refused"),
    ],
    9: [LATE],
    10: [
        replaced("runs", FULFILLED, result={"state": "failed"}),
        replaced("runs", FULFILLED, status="failed"),
        replaced("runs", FULFILLED, scheduled=[]),
        replaced("runs", f"{FULFILLED}/shipping/1", scheduled=[]),
        replaced("runs", CANCELLED, workflow_id="plain-1-9"),
    ],
    11: [
        added("replay_failures", ReplayFailure(workflow_id=f"{FULFILLED}/refund", error="no")),
    ],
    12: [
        replaced("streams", CANCELLED, events=[(1, "received"), (3, "reviewed")]),
        replaced("streams", CANCELLED, events=[(1, "received")]),
        lambda recording: msgspec.structs.replace(recording, feed=recording.feed[1:]),
        added("feed", (CANCELLED, 7)),
    ],
    13: [
        added("calls", call(FULFILLED, SHOW, 500)),
        added("calls", call(FULFILLED, SHOW, 503)),
        added("calls", call(FULFILLED, PLACE, 503, media_type="text/plain", retry_after="1")),
    ],
    14: [
        event(CANCELLED, "cancelled", key="cancelled/c9"),
        event(FULFILLED, "address_updated", key="address_updated/m9"),
        event(FULFILLED, "reviewed", payload={"approved": True, "change_id": "r9"}),
        replaced("rows", FULFILLED, state="rejected"),
    ],
}


def test_a_good_recording_breaks_nothing() -> None:
    assert judge(good()) == []


def test_every_invariant_has_a_number_and_a_bad_recording() -> None:
    assert [invariant.number for invariant in INVARIANTS] == list(BAD)


@pytest.mark.parametrize(
    ("number", "spoil"),
    [
        pytest.param(number, spoil, id=f"{number}-{at}")
        for number, spoils in BAD.items()
        for at, spoil in enumerate(spoils)
    ],
)
def test_a_bad_recording_breaks_its_invariant(number: int, spoil: Spoil) -> None:
    assert number in broken(spoil(good()))


@pytest.mark.parametrize(
    ("absences", "is_late"),
    [
        pytest.param([], True, id="nothing away"),
        pytest.param([absent("postgres", 14, 16)], False, id="Postgres away"),
        pytest.param([absent("temporal", -10, -5)], True, id="Temporal away long before"),
        pytest.param([absent("order-worker", 2, 9)], True, id="one worker of two"),
        pytest.param([absent("orders-tq", 2, 4)], False, id="both workers of a queue"),
        pytest.param(
            [absent("order-worker", 2, 9), absent("shipping-worker", 3, 4)],
            True,
            id="one worker of each queue",
        ),
    ],
)
def test_an_order_is_late_unless_its_servers_were_away(
    absences: list[Absence], is_late: bool
) -> None:
    recording = msgspec.structs.replace(LATE(good()), absences=absences)
    assert (9 in broken(recording)) is is_late


def test_a_crash_of_postgres_may_lose_a_row_for_a_moment() -> None:
    unknown = added("calls", call(FULFILLED, SHOW, 404))
    crash = added("absences", absent("postgres", 0.2, 0.5))
    assert 6 in broken(unknown(good()))
    assert 6 not in broken(crash(unknown(good())))


def test_a_crash_of_postgres_may_show_the_first_event_twice() -> None:
    again = msgspec.structs.replace(good(), feed=[(FULFILLED, 1), *good().feed])
    assert 12 in broken(again)
    assert 12 not in broken(added("absences", absent("postgres", 0.2, 0.5))(again))


def test_another_change_of_the_same_key_is_refused_with_reason() -> None:
    first = call(FULFILLED, MOVE, 200, key="m1", body={"address": ELSEWHERE})
    other = call(FULFILLED, MOVE, 422, key="m1", body={"address": HOME})
    assert broken(added("calls", first, other)(good())) == set()


def test_a_payment_of_another_order_is_refused_with_reason() -> None:
    body = {"payment_id": f"pay-{FULFILLED}", "address": HOME}
    thief = placed("plain-1-9", 409, body=body, answer={"detail": "belongs to another order."})
    assert broken(added("calls", thief)(good())) == set()


def test_a_refused_payment_is_true_though_the_order_came_again_with_another() -> None:
    thief = placed(
        FULFILLED,
        409,
        body={"payment_id": f"pay-{CANCELLED}"},
        answer={"detail": "belongs to another order."},
    )
    assert broken(added("calls", thief)(good())) == set()
