import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from orderfleet.domain import events
from orderfleet.domain.contract import AddressChange, Cancel, Change, Review
from orderfleet.domain.events import Event, EventType
from orderfleet.domain.orders import Address, OrderState
from orderfleet.domain.payments import PaymentStatus
from orderfleet.store.queries import EventRow

ROOT = Path(__file__).parents[3]
STORE = ROOT / "services" / "core" / "src" / "orderfleet" / "store"
HOME = Address(street="1 Main Street", city="Springfield")
# What the statements name themselves: the third value of an event's row.
_LITERAL = re.compile(r"SELECT (?:moved\.)?id, (?:event_count(?: - 1)?|1), '(\w+)'")


def test_the_document_lists_every_type() -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| (.+) \|$", (ROOT / "docs" / "events.md").read_text(), re.MULTILINE
    )
    assert rows == [(type_.value, type_.meaning) for type_ in EventType]


def test_the_store_writes_no_other_type() -> None:
    written = {
        literal for module in STORE.glob("*.py") for literal in _LITERAL.findall(module.read_text())
    }
    assert len(written) == 6
    assert written <= set(EventType)


def test_every_end_and_every_undone_payment_has_a_type() -> None:
    ends = {state.value for state in OrderState if state.ended}
    assert ends | {PaymentStatus.VOIDED, PaymentStatus.REFUNDED} <= set(EventType)


def test_a_type_of_a_newer_release_is_read_and_passed_on() -> None:
    text = b'{"type":"gift_wrapped","key":"gift_wrapped","payload":{}}'
    event = msgspec.json.decode(text, type=Event)
    assert event.type == "gift_wrapped"
    assert event.type not in list(EventType)
    assert f"{event.type}/1" == "gift_wrapped/1"
    assert msgspec.json.encode(event) == text
    row = EventRow(1, event.type, {}, datetime(2026, 1, 1, tzinfo=UTC))
    assert b'"type":"gift_wrapped"' in msgspec.json.encode(row)
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"type":1,"key":"k"}', type=Event)


@pytest.mark.parametrize(
    ("event", "stored"),
    [
        (events.done(EventType.VALIDATED, 2), ("validated", "validated", {"attempt": 2})),
        (events.declined("no"), ("declined", "declined", {"reason": "no"})),
        (
            events.dispatch_failed(2, "no"),
            ("dispatch_failed", "dispatch_failed/2", {"attempt": 2, "reason": "no"}),
        ),
        (events.recalled("one/1"), ("recalled", "recalled/one/1", {"called_back": True})),
        (events.fulfilled("t"), ("fulfilled", "ended", {"tracking": "t"})),
        (events.ended(OrderState.TIMED_OUT, "late"), ("timed_out", "ended", {"reason": "late"})),
        (
            events.reviewed(Review(approved=True, reviewer="timer")),
            ("reviewed", "reviewed", {"approved": True, "by": "timer"}),
        ),
        (events.applied(Cancel("c")), ("cancelled", "cancelled/c", {})),
        (
            events.applied(Cancel("c", reason="changed my mind", actor="shop")),
            ("cancelled", "cancelled/c shop", {"reason": "changed my mind", "actor": "shop"}),
        ),
        (
            events.applied(AddressChange(HOME, "a")),
            (
                "address_updated",
                "address_updated/a",
                {"address": {"street": "1 Main Street", "city": "Springfield"}},
            ),
        ),
        (
            events.refused(Cancel("c", actor="shop"), "order is failed"),
            ("cancel_refused", "cancelled/c shop", {"reason": "order is failed", "actor": "shop"}),
        ),
        (
            events.refused(AddressChange(HOME, "a"), "already dispatched"),
            ("address_update_refused", "address_updated/a", {"reason": "already dispatched"}),
        ),
        (
            events.refused(Review(approved=False, change_id="r"), "the review is over"),
            ("review_refused", "reviewed/r", {"reason": "the review is over"}),
        ),
    ],
)
def test_an_event_is_stored_as_it_always_was(
    event: Event, stored: tuple[str, str, dict[str, Any]]
) -> None:
    type_, key, payload = stored
    assert msgspec.to_builtins(event) == {"type": type_, "key": key, "payload": payload}


@pytest.mark.parametrize(
    "change", [Cancel(), AddressChange(HOME), Review(approved=True)], ids=lambda c: type(c).__name__
)
def test_a_change_without_an_id_has_no_key(change: Change) -> None:
    with pytest.raises(ValueError, match="without an id"):
        events.change_key(change)
