"""The store accepts the edges of the graph and no others, by whichever statement."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from orderfleet.domain.events import Event, EventType
from orderfleet.domain.orders import TRANSITIONS, OrderState
from orderfleet.domain.payments import PaymentStatus
from orderfleet.store.dispatch import claim_dispatch, release_dispatch
from orderfleet.store.payments import begin_charge, record_payment_outcome
from orderfleet.store.pool import Pool
from orderfleet.store.transitions import end_order, move
from tests.integration.support.books import books, put_order, put_payment

_STATES = list(OrderState)


@pytest.mark.parametrize("before", _STATES)
async def test_a_move_is_accepted_along_an_edge_only(
    pool: Pool, owner: Pool, before: OrderState
) -> None:
    for to in _STATES:
        order_id = f"{before}-{to}"
        await put_order(owner, order_id, before)
        moved = await move(pool, order_id, [Event(EventType("moved"), "moved")], to=to)
        is_edge = to in TRANSITIONS[before]
        assert moved is not None
        assert (moved.applied, moved.state) == (is_edge, to if is_edge else before)
        record = await books(pool, order_id)
        assert record.order["state"] == (to if is_edge else before)
        assert [event["type"] for event in record.events] == ["received", "moved"][: 1 + is_edge]


async def _begin_charge(pool: Pool, order_id: str) -> Any:
    return await begin_charge(pool, order_id, f"pay-{order_id}", {}, {})


async def _captured(pool: Pool, order_id: str) -> Any:
    status = PaymentStatus.CAPTURED
    return await record_payment_outcome(pool, order_id, f"pay-{order_id}", status, {})


async def _claim(pool: Pool, order_id: str) -> Any:
    return await claim_dispatch(pool, order_id, f"{order_id}/1", "1.1", {})


async def _release(pool: Pool, order_id: str) -> Any:
    return await release_dispatch(pool, order_id, "0.1", 1, "no")


@pytest.mark.parametrize(
    ("statement", "edge"),
    [
        (_begin_charge, (OrderState.IN_REVIEW, OrderState.CHARGING)),
        (_captured, (OrderState.CHARGING, OrderState.CHARGED)),
        (_claim, (OrderState.SHIPPING, OrderState.DISPATCHING)),
        (_release, (OrderState.DISPATCHING, OrderState.SHIPPING)),
    ],
)
async def test_a_statement_of_its_own_takes_its_one_edge_only(
    pool: Pool,
    owner: Pool,
    statement: Callable[[Pool, str], Awaitable[Any]],
    edge: tuple[OrderState, OrderState],
) -> None:
    assert edge[1] in TRANSITIONS[edge[0]]
    for before in _STATES:
        await put_order(owner, before, before)
        if statement is _captured:
            await put_payment(owner, before, "pending")
        await statement(pool, before)
        after = edge[1] if before is edge[0] else before
        assert (await books(pool, before)).order["state"] == after


@pytest.mark.parametrize("end", [state for state in OrderState if state.ended])
async def test_an_end_is_never_replaced_by_another(
    pool: Pool, owner: Pool, end: OrderState
) -> None:
    for before in _STATES:
        await put_order(owner, before, before)
        if before.ended or end in TRANSITIONS[before]:
            ended = await end_order(pool, before, end, "why", [])
            assert ended is not None
            assert ended.state == (before if before.ended else end)
        else:
            with pytest.raises(ValueError, match=f"no edge leads from {before}"):
                await end_order(pool, before, end, "why", [])
            assert (await books(pool, before)).order["state"] == before
