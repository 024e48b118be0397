"""After a restore only the gateways know what orders have done since the backup."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from orderfleet.domain.contract import carrier_key
from orderfleet.domain.orders import OrderState
from orderfleet.gateways.protocols import Charge, Shipment
from orderfleet.gateways.simulated import SimulatedCarrier, SimulatedPaymentGateway
from orderfleet.store.pool import Pool
from orderfleet.store.restores import pending_restore
from orderfleet.store.transitions import end_order
from orderfleet_api import order_service
from tests.integration.support.books import books
from tests.integration.support.fleet import Fleet, an_order, eventually, new_id
from tests.integration.support.reconciliation import reconcile, reconciled

SHIPPED = pytest.mark.parametrize("shipped", [False, True])


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no order be too young to be reconciled."""
    monkeypatch.setattr("orderfleet_order_worker.reconciliation.activities._GRACE", timedelta(0))


@pytest.fixture
async def working(fleet: Fleet) -> AsyncIterator[None]:
    """Run the workers, for refunds."""
    async with fleet.working():
        yield


async def _restored(owner: Pool) -> None:
    await owner.execute("SELECT record_restore(now())")


async def _cut_off(fleet: Fleet) -> str:
    """Return an order that its workflow, as the backup has it, has only received."""
    order_id = new_id()
    await order_service.accept(fleet.backends(), order_id, an_order(f"pay-{order_id}"))
    await fleet.workflow(order_id).terminate("the backup is older")
    return order_id


async def _happened(fleet: Fleet, order_id: str, *, shipped: bool) -> None:
    """Charge an order, and ship it, as a fleet did of which no record is left."""
    order = an_order(f"pay-{order_id}")
    charge = Charge(order.payment_id, order_id, order.amount, order.currency)
    await SimulatedPaymentGateway(fleet.gateway_pool).charge(charge)
    if shipped:
        shipment = Shipment(carrier_key(order_id, 2), order_id, order.address)
        await SimulatedCarrier(fleet.gateway_pool).dispatch(shipment)


async def _check(fleet: Fleet, order_id: str, *, shipped: bool) -> None:
    if shipped:
        await reconciled(fleet, order_id, OrderState.FULFILLED, "captured")
        event = (await books(fleet.pool, order_id)).events[-1]
        assert event["payload_json"]["reason"] == "found at the carrier after a restore"
        return
    await reconciled(fleet, order_id, OrderState.FAILED, "refunded")


@SHIPPED
async def test_an_order_charged_after_the_backup(fleet: Fleet, owner: Pool, shipped: bool) -> None:
    order_id = await _cut_off(fleet)
    await _happened(fleet, order_id, shipped=shipped)
    await _restored(owner)
    async with fleet.working():
        await _check(fleet, order_id, shipped=shipped)


@SHIPPED
async def test_an_order_that_its_own_workflow_ended_after_the_restore(
    fleet: Fleet, owner: Pool, shipped: bool
) -> None:
    order_id = await _cut_off(fleet)
    await _happened(fleet, order_id, shipped=shipped)
    await _restored(owner)
    await end_order(fleet.pool, order_id, OrderState.FAILED, "no time left", [])
    async with fleet.working():
        await _check(fleet, order_id, shipped=shipped)


@SHIPPED
async def test_an_order_that_only_the_gateways_know(
    fleet: Fleet, owner: Pool, working: None, shipped: bool
) -> None:
    order_id = new_id()
    await _happened(fleet, order_id, shipped=shipped)
    await reconcile(fleet)
    assert not (await books(fleet.pool, order_id)).order
    await _restored(owner)
    await _check(fleet, order_id, shipped=shipped)
    found = await books(fleet.pool, order_id)
    assert found.order["amount"] == found.charges[0]["amount"]
    assert found.order["created_at"] == found.charges[0]["created_at"]
    assert found.events[0]["payload_json"] == {
        "by": "ReconcileOrders",
        "reason": "found at the payment gateway after a restore",
    }


async def test_an_order_that_was_never_charged_gets_no_payment(
    fleet: Fleet, owner: Pool, working: None
) -> None:
    order_id = await _cut_off(fleet)
    await _restored(owner)
    await reconciled(fleet, order_id, OrderState.FAILED, None)


async def test_pages_of_charges_are_compared_once(
    fleet: Fleet, owner: Pool, working: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orderfleet.store.simulated_ledger.CHARGES_PAGE", 2)
    ids = [new_id() for _ in range(5)]
    for order_id in ids:
        await _happened(fleet, order_id, shipped=False)
    await _restored(owner)
    assert (await reconcile(fleet)).ended == len(ids)
    restore = await pending_restore(fleet.pool)
    assert restore is not None
    assert restore.listed
    # A minute later the restore is over.
    await owner.execute("UPDATE restores SET begun_at = begun_at - interval '61 s'")
    await reconcile(fleet)
    assert await pending_restore(fleet.pool) is None

    async def refunded() -> bool:
        charges = [(await books(fleet.pool, order_id)).charges[0] for order_id in ids]
        return {charge["status"] for charge in charges} == {"refunded"}

    await eventually(refunded)


async def test_a_charge_that_fails_is_compared_again(
    fleet: Fleet, owner: Pool, working: None
) -> None:
    gateway = SimulatedPaymentGateway(fleet.gateway_pool)
    await gateway.charge(Charge("pay-odd", "not an id", "1.00", "USD"))
    await _restored(owner)
    for _ in range(2):
        summary = await reconcile(fleet)
        assert summary.failures == {"restored": 1}
        assert "refund it by hand" in summary.errors[0]
    restore = await pending_restore(fleet.pool)
    assert restore is not None
    assert not restore.listed


async def test_a_second_restore_takes_over_what_the_first_has_left(
    fleet: Fleet, owner: Pool
) -> None:
    await owner.execute("SELECT record_restore(now() - interval '1 hour')")
    first = await pending_restore(fleet.pool)
    await _restored(owner)
    second = await pending_restore(fleet.pool)
    assert first is not None
    assert second is not None
    assert second.since == first.since
    assert second.id > first.id
    assert not second.listed
