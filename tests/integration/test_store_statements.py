"""A step's row, state and event are one statement, and a repeat of it adds nothing."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest

from orderfleet.domain.contract import AddressChange, Cancel
from orderfleet.domain.events import Event, EventType
from orderfleet.domain.orders import Address, OrderState
from orderfleet.domain.payments import PaymentStatus
from orderfleet.store.changes import cancel_order, update_address
from orderfleet.store.dispatch import claim_dispatch, release_dispatch
from orderfleet.store.payments import begin_charge, record_payment_outcome
from orderfleet.store.pool import UNAVAILABLE, Pool
from orderfleet.store.transitions import append_event, end_order, move, receive
from tests.integration.support.books import books, put_order, put_payment
from tests.integration.support.chaos import Fate, fated
from tests.integration.support.fleet import an_order, eventually

_AWAY = Address("2 Away Street", "Elsewhere")
_ID = "one"
_SEEN = EventType("seen")
_PAYMENT = f"pay-{_ID}"


@dataclass(frozen=True)
class Step:
    """A statement, the state that it needs, and the payment's status if it needs a payment."""

    name: str
    before: OrderState
    run: Callable[[Pool], Awaitable[Any]]
    payment: str = ""


def _record(status: PaymentStatus) -> Callable[[Pool], Awaitable[Any]]:
    return lambda pool: record_payment_outcome(pool, _ID, _PAYMENT, status, {})


def _move(kind: EventType, to: OrderState) -> Callable[[Pool], Awaitable[Any]]:
    return lambda pool: move(pool, _ID, [Event(kind, kind)], to=to)


_STEPS = [
    Step("validate", OrderState.RECEIVED, _move(EventType.VALIDATED, OrderState.IN_REVIEW)),
    Step("charging", OrderState.IN_REVIEW, lambda p: begin_charge(p, _ID, _PAYMENT, {}, {})),
    Step("captured", OrderState.CHARGING, _record(PaymentStatus.CAPTURED), "pending"),
    Step("prepare", OrderState.CHARGED, _move(EventType.PREPARED, OrderState.SHIPPING)),
    Step("claim", OrderState.SHIPPING, lambda p: claim_dispatch(p, _ID, "one/1", "1.1", {})),
    Step("release", OrderState.DISPATCHING, lambda p: release_dispatch(p, _ID, "0.1", 1, "no")),
    Step("fulfil", OrderState.DISPATCHING, _move(EventType.FULFILLED, OrderState.FULFILLED)),
    Step("end", OrderState.CHARGED, lambda p: end_order(p, _ID, OrderState.FAILED, "no", [])),
    Step("cancel", OrderState.CHARGED, lambda p: cancel_order(p, _ID, Cancel("c"))),
    Step("late cancel", OrderState.FULFILLED, lambda p: cancel_order(p, _ID, Cancel("c"))),
    Step(
        "address", OrderState.CHARGED, lambda p: update_address(p, _ID, AddressChange(_AWAY, "a"))
    ),
    Step(
        "late address",
        OrderState.DISPATCHING,
        lambda p: update_address(p, _ID, AddressChange(_AWAY, "a")),
    ),
    Step("note", OrderState.CHARGED, lambda p: append_event(p, _ID, Event(_SEEN, "seen"))),
    Step("voided", OrderState.FAILED, _record(PaymentStatus.VOIDED), "pending"),
    Step("refunded", OrderState.FAILED, _record(PaymentStatus.REFUNDED), "captured"),
]
_each_step = pytest.mark.parametrize("step", _STEPS, ids=lambda step: step.name)


async def _prepare(owner: Pool, step: Step) -> None:
    await put_order(owner, _ID, step.before)
    if step.payment:
        await put_payment(owner, _ID, step.payment)


@_each_step
async def test_a_repeat_adds_nothing(pool: Pool, owner: Pool, step: Step) -> None:
    await _prepare(owner, step)
    before = await books(pool, _ID)
    await step.run(pool)
    once = await books(pool, _ID)
    assert once != before
    await step.run(pool)
    assert await books(pool, _ID) == once


@_each_step
async def test_a_commit_whose_acknowledgement_was_lost_counts_once(
    pool: Pool, owner: Pool, step: Step
) -> None:
    await _prepare(owner, step)
    with pytest.raises(ConnectionResetError):
        await step.run(fated(pool, [Fate.LOST_AFTER]))
    await step.run(pool)
    again = await books(pool, _ID)
    assert [event["number"] for event in again.events] == [1, 2, 3][: len(again.events)]
    assert len(again.events) == (3 if step.name == "charging" else 2)


@_each_step
async def test_without_its_event_a_step_changes_nothing(
    pool: Pool, owner: Pool, step: Step
) -> None:
    await _prepare(owner, step)
    before = await books(pool, _ID)
    await owner.execute("ALTER TABLE events ADD CONSTRAINT no_more CHECK (false) NOT VALID")
    with pytest.raises(asyncpg.CheckViolationError):
        await step.run(pool)
    assert await books(pool, _ID) == before


@_each_step
async def test_a_connection_killed_in_the_middle_changes_nothing(
    pool: Pool, owner: Pool, step: Step
) -> None:
    await _prepare(owner, step)
    before = await books(pool, _ID)

    async def killed() -> bool:
        return bool(
            await owner.fetchval(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
        )

    async with owner.acquire() as connection, connection.transaction():
        await connection.execute("SELECT FROM orders WHERE id = $1 FOR UPDATE", _ID)
        running = asyncio.ensure_future(step.run(pool))
        await eventually(killed)
        with pytest.raises(UNAVAILABLE):
            await running
    assert await books(pool, _ID) == before
    await step.run(pool)
    assert len((await books(pool, _ID)).events) > 1


async def test_event_numbers_have_no_gaps_under_concurrency(pool: Pool) -> None:
    assert await receive(pool, _ID, an_order(_PAYMENT), {})
    addresses = [Address(f"{n} Street", "Town") for n in range(20)]
    await asyncio.gather(
        *(append_event(pool, _ID, Event(_SEEN, f"seen-{n % 20}")) for n in range(40)),
        *(
            update_address(pool, _ID, AddressChange(address, f"change-{n}"))
            for n, address in enumerate(addresses * 2)
        ),
        *(
            move(pool, _ID, [Event(EventType.VALIDATED, "v")], to=OrderState.IN_REVIEW)
            for _ in range(5)
        ),
        *(begin_charge(pool, _ID, _PAYMENT, {}, {}) for _ in range(5)),
        cancel_order(pool, _ID, Cancel("late")),
    )
    record = await books(pool, _ID)
    numbers = [event["number"] for event in record.events]
    assert numbers == list(range(1, len(numbers) + 1))
    assert record.order["event_count"] == len(numbers)
    keys = [event["event_key"] for event in record.events]
    assert len(keys) == len(set(keys))
    assert {f"seen-{n}" for n in range(20)} <= set(keys)


async def test_twins_receive_one_order(pool: Pool) -> None:
    same = [receive(pool, _ID, an_order(_PAYMENT), {}) for _ in range(15)]
    other = [receive(pool, _ID, an_order("pay-other"), {}) for _ in range(5)]
    answers = await asyncio.gather(*same, *other)
    record = await books(pool, _ID)
    won = record.order["payment_id"]
    assert answers == [won == _PAYMENT] * 15 + [won != _PAYMENT] * 5
    assert len(record.events) == 1
