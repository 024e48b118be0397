"""`forget_order`: what goes from the rows of an order, what stays, and who may do it."""

import asyncio
from typing import Any

import asyncpg
import msgspec
import pytest

from orderfleet.domain import events
from orderfleet.domain.contract import AddressChange, Cancel, Review
from orderfleet.domain.events import Event, EventType
from orderfleet.domain.orders import Address, OrderState
from orderfleet.domain.payments import PaymentStatus
from orderfleet.store import change_requests
from orderfleet.store.changes import OnRecord, Verdict, on_record
from orderfleet.store.dispatch import dispatch_of
from orderfleet.store.forget import Forgotten, forget_order
from orderfleet.store.payments import record_payment_outcome
from orderfleet.store.pool import Pool
from orderfleet.store.queries import find_existing, find_order
from orderfleet.store.simulated_ledger import balance, put_charge, put_shipment
from orderfleet.store.transitions import append_event, move, receive
from tests.integration.support.books import Books, books, put_order, put_payment
from tests.integration.support.fleet import HOME, an_order

_ID = "one"
_HIDDEN = {"street": "***", "city": "***"}
_AWAY = Address("2 Away Street", "Elsewhere", name="Zoë Müller")


async def _ended(owner: Pool, state: OrderState, *added: Event) -> None:
    """Write an order with these events, in its end."""
    await put_order(owner, _ID, OrderState.RECEIVED)
    for event in added:
        await append_event(owner, _ID, event)
    await owner.execute("UPDATE orders SET state = $2 WHERE id = $1", _ID, state)


def _payloads(found: Books) -> list[dict[str, Any]]:
    return [event["payload_json"] for event in found.events]


async def test_texts_go_and_ids_numbers_and_states_stay(pool: Pool, owner: Pool) -> None:
    review = Review(approved=True, reviewer="Ann Ives", reason="knows him", change_id="r")
    await _ended(
        owner,
        OrderState.FULFILLED,
        events.reviewed(review),
        events.applied(AddressChange(_AWAY, "a", actor="shop")),
        events.done(EventType.CHARGED, 2),
        events.dispatch_failed(1, "nobody called Zoë lives there"),
        events.declined("Zoë's card"),
        events.refused(Cancel("c", actor="shop"), "order is fulfilled"),
        events.recalled("one/1", called_back=False),
        events.fulfilled("T-1"),
    )
    await put_payment(owner, _ID, "captured")
    await put_charge(pool, f"pay-{_ID}", _ID, "15.00", "USD", "captured")
    await put_shipment(pool, "one/1", _ID, msgspec.to_builtins(_AWAY), "taken")
    before = await books(pool, _ID)

    assert await forget_order(pool, _ID) is Forgotten.NOW

    after = await books(pool, _ID)
    assert _payloads(after) == [
        {},
        {"approved": True, "by": "***", "reason": "***", "change_id": "r"},
        {"address": _HIDDEN, "actor": "shop"},
        {"attempt": 2},
        {"attempt": 1, "reason": "***"},
        {"reason": "***"},
        {"reason": "***", "actor": "shop"},
        {"called_back": False},
        {"tracking": "T-1"},
        {},
    ]
    assert [event["number"] for event in after.events] == list(range(1, 11))
    assert after.events[-1]["type"] == after.events[-1]["event_key"] == EventType.FORGOTTEN
    kept = ("id", "number", "type", "ts", "event_key")
    assert [[event[name] for name in kept] for event in after.events[:-1]] == [
        [event[name] for name in kept] for event in before.events
    ]
    changed = {name for name in before.order if before.order[name] != after.order[name]}
    assert changed == {"address_json", "event_count", "updated_at", "forgotten_at"}
    assert after.order["address_json"] == _HIDDEN
    assert after.order["event_count"] == 10
    assert after.shipments == [before.shipments[0] | {"address_json": _HIDDEN}]
    assert (after.payments, after.charges) == (before.payments, before.charges)
    assert (await balance(pool)).balanced


async def test_twice_is_one_event_and_no_row_is_written_again(pool: Pool, owner: Pool) -> None:
    await _ended(owner, OrderState.FAILED, events.declined("Zoë's card"))
    await put_shipment(pool, "one/1", _ID, msgspec.to_builtins(_AWAY), "recalled")
    first = await asyncio.gather(*(forget_order(pool, _ID) for _ in range(5)))
    assert sorted(first) == [Forgotten.NOW, *[Forgotten.BEFORE] * 4]

    async def versions() -> list[Any]:
        tables = ("orders", "events", "gateway.shipments")
        return [await owner.fetch(f"SELECT ctid, xmin FROM {table}") for table in tables]  # noqa: S608

    once = await versions()
    assert await forget_order(pool, _ID) is Forgotten.BEFORE
    assert await versions() == once


@pytest.mark.parametrize("state", [state for state in OrderState if not state.ended])
async def test_an_open_order_is_not_forgotten(pool: Pool, owner: Pool, state: OrderState) -> None:
    await put_order(owner, _ID, state)
    before = await books(pool, _ID)
    assert await forget_order(pool, _ID) is Forgotten.OPEN
    assert await books(pool, _ID) == before


@pytest.mark.parametrize("status", ["pending", "captured"])
async def test_an_order_that_is_owed_its_money_is_not_forgotten(
    pool: Pool, owner: Pool, status: str
) -> None:
    await _ended(owner, OrderState.CANCELLED)
    await put_payment(owner, _ID, status)
    assert await forget_order(pool, _ID) is Forgotten.OWED
    await record_payment_outcome(pool, _ID, f"pay-{_ID}", PaymentStatus.REFUNDED, {})
    assert await forget_order(pool, _ID) is Forgotten.NOW


async def test_an_unknown_order_is_said_to_be_unknown(pool: Pool) -> None:
    assert await forget_order(pool, _ID) is Forgotten.UNKNOWN


async def test_what_comes_late_is_redacted_too(pool: Pool, owner: Pool) -> None:
    await _ended(owner, OrderState.FULFILLED)
    await forget_order(pool, _ID)
    await append_event(pool, _ID, events.declined("Zoë's card"))
    await put_shipment(pool, "one/2", _ID, msgspec.to_builtins(_AWAY), "taken")
    assert await change_requests.ask(pool, _ID, AddressChange(_AWAY, "late"))
    found = await books(pool, _ID)
    assert found.events[-1]["payload_json"] == {"reason": "***"}
    assert found.shipments[0]["address_json"] == _HIDDEN
    assert await pool.fetchval("SELECT count(*) FROM change_requests") == 0


async def test_a_change_that_nobody_took_up_goes(pool: Pool, owner: Pool) -> None:
    await _ended(owner, OrderState.FULFILLED)
    await change_requests.ask(pool, _ID, AddressChange(_AWAY, "a"))
    await forget_order(pool, _ID)
    assert await pool.fetchval("SELECT count(*) FROM change_requests") == 0


async def test_the_text_of_a_foreign_actor_goes_from_the_key_as_well(
    pool: Pool, owner: Pool
) -> None:
    """Any client of Temporal may say who it is; the API says the name of a key."""
    await _ended(
        owner,
        OrderState.CANCELLED,
        events.refused(Cancel("c", actor="Zoë Müller"), "order is failed"),
        events.refused(Cancel("c", actor="Ann Ives"), "order is failed"),
    )
    await forget_order(pool, _ID)
    late = (await books(pool, _ID)).events[1:3]
    assert [event["event_key"] for event in late] == ["cancelled/c *** 2", "cancelled/c *** 3"]
    assert [event["payload_json"]["actor"] for event in late] == ["***", "***"]


@pytest.mark.parametrize(
    ("change", "again"),
    [
        (Cancel("c", reason="Zoë said so"), Cancel("c", reason="Zoë said so")),
        (AddressChange(_AWAY, "a", actor="shop"), AddressChange(HOME, "a", actor="shop")),
        (
            Review(approved=False, reviewer="Ann", change_id="r"),
            Review(approved=False, reviewer="Bob", change_id="r"),
        ),
    ],
    ids=lambda change: type(change).__name__,
)
async def test_a_repeated_change_is_still_known(
    pool: Pool,
    owner: Pool,
    change: Cancel | AddressChange | Review,
    again: Cancel | AddressChange | Review,
) -> None:
    applied = events.reviewed(change) if isinstance(change, Review) else events.applied(change)
    await _ended(owner, OrderState.CANCELLED, applied)
    await forget_order(pool, _ID)
    assert await on_record(pool, _ID, again) == OnRecord(Verdict.APPLIED)
    other = msgspec.structs.replace(again, approved=True) if isinstance(again, Review) else None
    if other is not None:
        assert await on_record(pool, _ID, other) == OnRecord(Verdict.OTHER)


async def test_a_repeated_refusal_is_still_a_refusal(pool: Pool, owner: Pool) -> None:
    await _ended(owner, OrderState.FULFILLED, events.refused(Cancel("c"), "already dispatched"))
    await forget_order(pool, _ID)
    wanted = OnRecord(Verdict.REFUSED, "order is forgotten")
    assert await on_record(pool, _ID, Cancel("c", reason="please")) == wanted


async def test_its_id_stays_taken_and_its_address_stays_one(pool: Pool, owner: Pool) -> None:
    await _ended(owner, OrderState.FAILED)
    await forget_order(pool, _ID)
    order = an_order(f"pay-{_ID}")
    assert await receive(pool, _ID, order, {})
    assert not await receive(pool, _ID, an_order("pay-2"), {})
    existing = await find_existing(pool, _ID, order.payment_id)
    assert (existing.fingerprint, existing.payer) == (order.fingerprint, _ID)
    dispatch = await dispatch_of(pool, _ID)
    assert dispatch is not None
    row = await find_order(pool, _ID)
    assert row is not None
    assert msgspec.to_builtins(dispatch.address) == row.address == _HIDDEN


async def test_the_fleet_still_cannot_change_events(pool: Pool, owner: Pool) -> None:
    await _ended(owner, OrderState.FULFILLED)
    await forget_order(pool, _ID)
    for statement in (
        "UPDATE events SET payload_json = '{}'",
        "DELETE FROM events",
        "SELECT FROM events FOR UPDATE",
        (
            "CREATE OR REPLACE FUNCTION forget_order(of_order text) RETURNS text LANGUAGE sql"
            " AS $$ SELECT 'forgotten' $$"
        ),
        "ALTER FUNCTION forget_order(text) SECURITY INVOKER",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await pool.execute(statement)


async def test_nobody_else_may_forget_and_no_schema_comes_between(pool: Pool, owner: Pool) -> None:
    await _ended(owner, OrderState.FULFILLED)
    await owner.execute(
        "DO $$ BEGIN CREATE ROLE stranger; EXCEPTION WHEN duplicate_object THEN END $$"
    )
    async with owner.acquire() as connection, connection.transaction():
        await connection.execute("GRANT USAGE ON SCHEMA public TO stranger; SET ROLE stranger")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetchval("SELECT forget_order($1)", _ID)
    async with pool.acquire() as connection, connection.transaction():
        # A table of the caller's own, before the real one in its search path.
        await connection.execute("CREATE TEMP TABLE events (LIKE public.events) ON COMMIT DROP")
        await connection.execute("SET LOCAL search_path = pg_temp, public")
        assert await connection.fetchval("SELECT public.forget_order($1)", _ID) == "forgotten"
    assert (await books(pool, _ID)).events[-1]["type"] == "forgotten"


async def test_a_move_and_a_forgetting_at_once_leave_no_hole(pool: Pool, owner: Pool) -> None:
    await _ended(owner, OrderState.FULFILLED)
    await asyncio.gather(
        *(
            append_event(pool, _ID, Event(EventType.DECLINED, f"k{n}", {"reason": "Zoë"}))
            for n in range(10)
        ),
        forget_order(pool, _ID),
        *(
            move(pool, _ID, [Event(EventType.DECLINED, f"l{n}", {"reason": "Zoë"})])
            for n in range(10)
        ),
    )
    found = await books(pool, _ID)
    assert [event["number"] for event in found.events] == list(range(1, 23))
    assert "Zoë" not in str(found)
