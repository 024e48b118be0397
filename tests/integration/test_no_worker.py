"""Changes and questions while no worker runs: nothing is lost, and nothing is done twice."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus

import pytest
from litestar.plugins.problem_details import ProblemDetailsException

from orderfleet.domain.contract import Review
from orderfleet.domain.orders import Address, OrderState
from orderfleet.store.pool import Pool
from orderfleet_api import order_service
from orderfleet_api.backends import Backends
from orderfleet_api.schemas import APPLIED, QUEUED
from tests.integration.support.books import books
from tests.integration.support.fleet import HOME, Fleet, an_order, new_id

_A = Address("1 A Street", "Town")
_B = Address("2 B Street", "Town")


@pytest.fixture
def backends(fleet: Fleet) -> Backends:
    """Wait for no worker longer than a worker that runs would need."""
    return fleet.backends(change_wait_seconds=0.4, query_wait_seconds=0.4)


async def _accepted(backends: Backends) -> str:
    order_id = new_id()
    await order_service.accept(backends, order_id, an_order(f"pay-{order_id}"))
    return order_id


async def test_changes_of_address_are_applied_once_and_the_last_one_counts(
    fleet: Fleet, backends: Backends
) -> None:
    """The updates that were given up run as well, the first one even after the second signal."""
    order_id = await _accepted(backends)
    for change_id, address in (("a", _A), ("b", _B)):
        view = await order_service.update_address(backends, order_id, change_id, address)
        assert (view.outcome, view.state) == (QUEUED, None)
    async with fleet.working():
        assert (await fleet.result(order_id)).state is OrderState.FULFILLED
        # Asked again, the API now says what became of it.
        again = await order_service.update_address(backends, order_id, "a", _A)
        assert again.outcome == APPLIED
    found = await books(fleet.pool, order_id)
    updated = [one["event_key"] for one in found.events if one["type"] == "address_updated"]
    assert updated == ["address_updated/a", "address_updated/b"]
    assert "address_update_refused" not in [one["type"] for one in found.events]
    assert found.taken[0]["address_json"]["street"] == _B.street


async def test_a_cancel_is_applied_once(fleet: Fleet, backends: Backends) -> None:
    order_id = await _accepted(backends)
    view = await order_service.cancel(backends, order_id, "c", "changed my mind")
    assert view.outcome == QUEUED
    # The first one waits as a signal: a second request with its key must not be a second cancel.
    again = await order_service.cancel(backends, order_id, "c", "changed my mind")
    assert again.outcome == QUEUED
    with pytest.raises(ProblemDetailsException) as raised:
        await order_service.cancel(backends, order_id, "c", "another reason")
    assert raised.value.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    async with fleet.working():
        result = await fleet.result(order_id)
        assert (result.state, result.reason) == (OrderState.CANCELLED, "changed my mind")
        again = await order_service.cancel(backends, order_id, "c", "changed my mind")
        assert again.outcome == APPLIED
    found = await books(fleet.pool, order_id)
    types = [one["type"] for one in found.events]
    assert types.count("cancelled") == 1
    assert not {"cancel_refused", "charged", "dispatching"} & set(types)
    assert found.charges == found.shipments == []


async def test_a_change_is_queued_if_too_many_wait_for_a_worker(
    fleet: Fleet, backends: Backends
) -> None:
    order_id = await _accepted(backends)
    backends.bulkheads.worker_calls.limit = 0
    view = await order_service.update_address(backends, order_id, "a", _A)
    assert view.outcome == QUEUED
    # It has no signal.
    with pytest.raises(ProblemDetailsException, match="Too many") as raised:
        await order_service.review(backends, order_id, "r", Review(approved=True))
    assert raised.value.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    async with fleet.working():
        assert (await fleet.result(order_id)).state is OrderState.FULFILLED
    record = await books(fleet.pool, order_id)
    assert record.taken[0]["address_json"]["street"] == _A.street


async def test_a_review_needs_a_worker(backends: Backends) -> None:
    order_id = await _accepted(backends)
    with pytest.raises(ProblemDetailsException) as raised:
        await order_service.review(backends, order_id, "r", Review(approved=True))
    assert raised.value.status_code == HTTPStatus.SERVICE_UNAVAILABLE


async def test_the_status_comes_from_the_record(
    backends: Backends, pool: Pool, owner: Pool
) -> None:
    order_id = await _accepted(backends)
    found = await order_service.status(backends, order_id)
    assert (found.source, found.state, found.address) == ("record", OrderState.RECEIVED, HOME)
    assert 0 < found.seconds_left <= backends.settings.order_deadline_seconds

    await owner.execute("DELETE FROM events; DELETE FROM orders")
    found = await order_service.status(backends, order_id)
    assert (found.source, found.state, found.address) == ("record", OrderState.RECEIVED, None)
    assert found.seconds_left > 0


@pytest.mark.parametrize("ask", ["status", "show", "cancel", "update_address"])
async def test_an_order_that_nobody_placed_is_not_found(backends: Backends, ask: str) -> None:
    asked: dict[str, Callable[[], Awaitable[object]]] = {
        "status": lambda: order_service.status(backends, new_id()),
        "show": lambda: order_service.show(backends, new_id()),
        "cancel": lambda: order_service.cancel(backends, new_id(), "c", ""),
        "update_address": lambda: order_service.update_address(backends, new_id(), "a", _A),
    }
    with pytest.raises(ProblemDetailsException) as raised:
        await asked[ask]()
    assert raised.value.status_code == HTTPStatus.NOT_FOUND
