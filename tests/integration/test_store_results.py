"""What a charge's first statement and a claim answer, by the order's state."""

import pytest

from orderfleet.domain.contract import Review
from orderfleet.domain.events import reviewed
from orderfleet.domain.orders import OrderState
from orderfleet.store.dispatch import Claim, ClaimRefused, claim_dispatch
from orderfleet.store.payments import (
    AlreadyCharged,
    ChargeDecision,
    ChargeStart,
    OrderClosed,
    PaymentTaken,
    Rejected,
    begin_charge,
)
from orderfleet.store.pool import Pool
from orderfleet.store.transitions import append_event, end_order
from tests.integration.support.books import put_order, put_payment
from tests.integration.support.fleet import HOME

_ID = "one"
_PAYMENT = f"pay-{_ID}"
_START = ChargeStart("15.00", "USD")


async def _charge(pool: Pool, order_id: str = _ID) -> ChargeDecision | None:
    return await begin_charge(pool, order_id, _PAYMENT, {"approved": True}, {})


async def test_nothing_of_an_unknown_order_is_charged_or_claimed_or_ended(pool: Pool) -> None:
    assert await _charge(pool) is None
    assert await claim_dispatch(pool, _ID, f"{_ID}/1", "1.1", {}) is None
    assert await end_order(pool, _ID, OrderState.FAILED, "why", []) is None


async def test_a_charge_starts_once_and_its_repeat_may_call_the_gateway_again(
    pool: Pool, owner: Pool
) -> None:
    await put_order(owner, _ID, OrderState.IN_REVIEW)
    assert await _charge(pool) == _START
    assert await _charge(pool) == _START


async def test_without_the_payments_row_no_gateway_is_called(pool: Pool, owner: Pool) -> None:
    await put_order(owner, _ID, OrderState.CHARGING)
    assert await _charge(pool) == OrderClosed(OrderState.CHARGING)


@pytest.mark.parametrize(
    "before", sorted(set(OrderState) - {OrderState.IN_REVIEW, OrderState.CHARGING})
)
async def test_in_no_other_state_is_an_order_charged(
    pool: Pool, owner: Pool, before: OrderState
) -> None:
    await put_order(owner, _ID, before)
    await put_payment(owner, _ID, "captured")
    charged = before is OrderState.CHARGED
    assert await _charge(pool) == (AlreadyCharged() if charged else OrderClosed(before))


async def test_a_person_has_rejected(pool: Pool, owner: Pool) -> None:
    await put_order(owner, _ID, OrderState.IN_REVIEW)
    await append_event(pool, _ID, reviewed(Review(approved=False, reason="too much")))
    assert await _charge(pool) == Rejected("too much")


async def test_a_payment_id_pays_for_one_order(pool: Pool, owner: Pool) -> None:
    for order_id in (_ID, "two"):
        await put_order(owner, order_id, OrderState.IN_REVIEW)
    assert await _charge(pool) == _START
    assert await _charge(pool, "two") == PaymentTaken()


async def test_a_claim_that_is_taken_over_keeps_its_key(pool: Pool, owner: Pool) -> None:
    await put_order(owner, _ID, OrderState.SHIPPING)
    first = await claim_dispatch(pool, _ID, f"{_ID}/1", "1.1", {})
    later = await claim_dispatch(pool, _ID, f"{_ID}/2", "2.1", {})
    assert first == Claim(f"{_ID}/1", HOME, taken_over=False)
    assert later == Claim(f"{_ID}/1", HOME, taken_over=True)


@pytest.mark.parametrize(
    "before", sorted(set(OrderState) - {OrderState.SHIPPING, OrderState.DISPATCHING})
)
async def test_in_no_other_state_is_a_dispatch_claimed(
    pool: Pool, owner: Pool, before: OrderState
) -> None:
    await put_order(owner, _ID, before)
    assert await claim_dispatch(pool, _ID, f"{_ID}/1", "1.1", {}) == ClaimRefused(before)
