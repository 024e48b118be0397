"""Another server of Postgres has taken over and lacks orders: Temporal has them."""

from http import HTTPStatus

import pytest
from litestar.plugins.problem_details import ProblemDetailsException
from temporalio.client import Client

from orderfleet.domain.orders import OrderState
from orderfleet.store.pool import Pool
from orderfleet_api import order_service
from orderfleet_api.backends import Backends
from tests.integration.support.books import books
from tests.integration.support.fleet import Fleet, an_order, eventually, new_id
from tests.integration.support.reconciliation import lose_commits, reconciled


async def _take_over(owner: Pool) -> None:
    """Make the server one that has not been compared, as a standby is that was promoted."""
    await owner.execute("DELETE FROM compared_servers")


async def _compared(owner: Pool) -> bool:
    query = "SELECT started_at = pg_postmaster_start_time() FROM compared_servers"
    return bool(await owner.fetchval(query))


async def _lost(fleet: Fleet, owner: Pool, *, ended: bool) -> str:
    """Place an order whose row and events are lost, together with the server."""
    order_id = new_id()
    backends = fleet.backends()
    if ended:
        async with fleet.working():
            await order_service.accept(backends, order_id, an_order(f"pay-{order_id}"))
            assert (await fleet.result(order_id)).state is OrderState.FULFILLED
    else:
        await order_service.accept(backends, order_id, an_order(f"pay-{order_id}"))

    async def listed() -> bool:
        query = f"WorkflowId = '{order_id}'"
        if ended:
            query += " AND ExecutionStatus != 'Running'"
        return (await fleet.temporal.count_workflows(query)).count == 1

    await eventually(listed)
    await lose_commits(owner, order_id, 0)
    await _take_over(owner)
    return order_id


@pytest.mark.parametrize("ended", [True, False])
async def test_a_payment_of_a_lost_order_pays_no_other(
    fleet: Fleet, owner: Pool, ended: bool
) -> None:
    order_id, other = await _lost(fleet, owner, ended=ended), new_id()
    with pytest.raises(ProblemDetailsException) as refused:
        await order_service.accept(fleet.backends(), other, an_order(f"pay-{order_id}"))
    assert refused.value.status_code == HTTPStatus.CONFLICT
    found = await books(fleet.pool, order_id)
    assert found.order["state"] == "received"
    assert [event["type"] for event in found.events] == ["received"]
    assert await _compared(owner)
    if ended:
        await reconciled(fleet, order_id, OrderState.FULFILLED, "captured")


async def test_a_lost_order_that_is_placed_again_is_the_same(fleet: Fleet, owner: Pool) -> None:
    order_id = await _lost(fleet, owner, ended=False)
    again = await order_service.accept(fleet.backends(), order_id, an_order(f"pay-{order_id}"))
    assert again.state is OrderState.RECEIVED
    with pytest.raises(ProblemDetailsException) as refused:
        await order_service.accept(fleet.backends(), order_id, an_order(f"pay-{new_id()}"))
    assert refused.value.status_code == HTTPStatus.CONFLICT


async def test_each_server_is_compared_once(fleet: Fleet, owner: Pool) -> None:
    lost = await _lost(fleet, owner, ended=False)
    order_id = new_id()
    await order_service.accept(fleet.backends(), order_id, an_order(f"pay-{order_id}"))
    assert (await books(fleet.pool, lost)).order
    await lose_commits(owner, lost, 0)
    order_id = new_id()
    await order_service.accept(fleet.backends(), order_id, an_order(f"pay-{order_id}"))
    assert not (await books(fleet.pool, lost)).order


async def test_without_temporal_no_new_order_is_taken(fleet: Fleet, owner: Pool) -> None:
    """But one that Postgres knows is answered."""
    order_id = new_id()
    known = an_order(f"pay-{order_id}")
    await order_service.accept(fleet.backends(), order_id, known)
    await _take_over(owner)
    nobody = await Client.connect("127.0.0.1:1", lazy=True)
    backends = Backends(fleet.pool, nobody, fleet.backends(temporal_wait_seconds=0.2).settings)
    await order_service.accept(backends, order_id, known)
    with pytest.raises(ProblemDetailsException) as refused:
        await order_service.accept(backends, new_id(), an_order(f"pay-{new_id()}"))
    assert refused.value.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert not await _compared(owner)
