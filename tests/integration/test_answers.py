"""Every answer to a change is true and on record, whoever competed with it or was away."""

import asyncio
from http import HTTPStatus

import httpx
import pytest

from orderfleet.domain.contract import Review
from orderfleet.domain.orders import Address, OrderState
from orderfleet.store import change_requests
from orderfleet_api import order_service
from orderfleet_api.schemas import APPLIED, QUEUED
from tests.integration.support.books import books
from tests.integration.support.fleet import HOME, PATIENCE, Fleet, an_order, eventually, new_id
from tests.integration.support.reconciliation import reconcile

_ORDERS = 12
_AWAY = Address("2 Other Street", "Elsewhere")


async def _posted(http: httpx.AsyncClient, order_id: str, call: str, body: object, key: str) -> int:
    answer = await http.post(
        f"/orders/{order_id}/{call}",
        json=body,
        headers={"Idempotency-Key": key},
        timeout=PATIENCE,
    )
    return answer.status_code


async def test_of_a_review_and_a_cancel_at_once_each_200_is_on_record(fleet: Fleet) -> None:
    backends = fleet.backends(review_seconds=30.0, change_wait_seconds=30.0)
    async with fleet.working():
        for number in range(_ORDERS):
            order_id = new_id()
            await order_service.accept(backends, order_id, an_order(f"pay-{order_id}"))
            await fleet.reached(order_id, OrderState.IN_REVIEW)
            review = Review(approved=bool(number % 2), reviewer="ann")
            calls = [
                order_service.review(backends, order_id, "r", review),
                order_service.cancel(backends, order_id, "c", ""),
            ]
            # Either may be sent first.
            answers = await asyncio.gather(*calls[:: (-1) ** (number // 2)], return_exceptions=True)
            reviewed, cancelled = answers[:: (-1) ** (number // 2)]
            await fleet.result(order_id)
            types = await fleet.event_types(order_id)
            assert ("reviewed" in types) is not isinstance(reviewed, Exception)
            assert ("cancelled" in types) is not isinstance(cancelled, Exception)
            for answer, refused in ((reviewed, "review_refused"), (cancelled, "cancel_refused")):
                assert (refused in types) is isinstance(answer, Exception)
                if isinstance(answer, Exception):
                    assert "in_review" not in str(answer)


@pytest.mark.parametrize("ended", [False, True])
async def test_a_key_with_another_body_is_refused_before_and_after_the_end(
    fleet: Fleet, http: httpx.AsyncClient, ended: bool
) -> None:
    backends = fleet.backends(review_seconds=30.0)
    order_id = new_id()
    bodies: dict[str, tuple[dict[str, object], dict[str, object]]] = {
        "signals/update-address": (
            {"address": {"street": "2 Other Street", "city": "Elsewhere"}},
            {"address": {"street": "3 Other Street", "city": "Elsewhere"}},
        ),
        "review": ({"approved": True, "reason": "a"}, {"approved": True, "reason": "b"}),
    }
    async with fleet.working():
        await order_service.accept(backends, order_id, an_order(f"pay-{order_id}"))
        await fleet.reached(order_id, OrderState.IN_REVIEW)
        for call, (first, _) in bodies.items():
            assert await _posted(http, order_id, call, first, "k") == HTTPStatus.OK
        if ended:
            await fleet.result(order_id)
        for call, (first, second) in bodies.items():
            assert await _posted(http, order_id, call, second, "k") == 422
            assert await _posted(http, order_id, call, first, "k") == HTTPStatus.OK
        assert (await fleet.result(order_id)).state is OrderState.FULFILLED
    types = await fleet.event_types(order_id)
    assert types.count("address_updated") == types.count("reviewed") == 1


async def test_the_keys_of_two_callers_do_not_meet(fleet: Fleet) -> None:
    backends = fleet.backends(review_seconds=30.0)
    order_id = new_id()
    async with fleet.working():
        await order_service.accept(backends, order_id, an_order(f"pay-{order_id}"))
        await fleet.reached(order_id, OrderState.IN_REVIEW)
        for actor, address in (("ann", _AWAY), ("bob", HOME)):
            view = await order_service.update_address(backends, order_id, "k", address, actor=actor)
            assert view.outcome == APPLIED
        await order_service.review(backends, order_id, "k", Review(approved=True), actor="ann")
        await fleet.result(order_id)
    record = await books(fleet.pool, order_id)
    assert [event["type"] for event in record.events].count("address_updated") == 2
    assert record.taken[0]["address_json"] == {"street": HOME.street, "city": HOME.city}


async def test_what_was_left_for_a_worker_has_its_answer_when_the_server_closed_the_order(
    fleet: Fleet,
) -> None:
    backends = fleet.backends(change_wait_seconds=0.2)
    order_id = new_id()
    await order_service.accept(backends, order_id, an_order(f"pay-{order_id}"))
    for change in (
        order_service.cancel(backends, order_id, "c", "", actor="ann"),
        order_service.update_address(backends, order_id, "a", _AWAY),
    ):
        assert (await change).outcome == QUEUED
    await fleet.workflow(order_id).terminate()

    async def answered() -> bool:
        # Orders are left alone for their first seconds.
        await reconcile(fleet)
        return not [request async for request in change_requests.of_ended_orders(fleet.pool)] and (
            await fleet.state(order_id) is OrderState.FAILED
        )

    await eventually(answered)
    refused = {
        event.type: event.payload
        for event in await fleet.events(order_id)
        if event.type.endswith("_refused")
    }
    assert refused == {
        "cancel_refused": {"reason": "order is failed", "actor": "ann"},
        "address_update_refused": {"reason": "order is failed"},
    }
