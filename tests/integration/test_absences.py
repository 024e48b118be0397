"""A gateway or Postgres that is away for 4 s costs no order, and no attempt more than three."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, Literal

import pytest

from orderfleet.domain.contract import CANCEL_SIGNAL
from orderfleet.domain.orders import Address, OrderState
from orderfleet.gateways.protocols import Charge, ChargeStatus, GatewayUnavailableError, Shipment
from orderfleet.gateways.simulated import Fault, SimulatedCarrier, SimulatedPaymentGateway
from orderfleet.store.pool import Pool, open_pool
from orderfleet.store.simulated_ledger import balance
from orderfleet_api import order_service
from tests.integration.support.books import books
from tests.integration.support.chaos import Fate, fated
from tests.integration.support.fleet import Fleet, an_order, eventually, new_id
from tests.integration.support.proxy import wire_to_postgres
from tests.integration.support.steps import Steps

_AWAY_SECONDS: Final = 4.0


class Absence:
    """Begins with the first call, unless it is called off."""

    def __init__(self, kind: Literal["503", "429", "refused"]) -> None:
        self.calls = 0
        self._kind = kind
        self._until = 0.0

    def check(self) -> None:
        now = asyncio.get_running_loop().time()
        self._until = self._until or now + _AWAY_SECONDS
        self.calls += 1
        if now < self._until:
            if self._kind == "refused":
                raise ConnectionRefusedError("refused")
            asked = 2.0 if self._kind == "429" else None
            raise GatewayUnavailableError(self._kind, retry_after=asked)


class AwayGateway(SimulatedPaymentGateway):
    def __init__(self, pool: Pool, absence: Absence) -> None:
        super().__init__(pool)
        self._absence = absence

    async def charge(self, charge: Charge) -> bool:
        self._absence.check()
        return await super().charge(charge)

    async def lookup(self, key: str) -> ChargeStatus:
        self._absence.check()
        return await super().lookup(key)


class AwayCarrier(SimulatedCarrier):
    def __init__(self, pool: Pool, absence: Absence) -> None:
        super().__init__(pool)
        self._absence = absence

    async def dispatch(self, shipment: Shipment) -> str:
        self._absence.check()
        return await super().dispatch(shipment)

    async def lookup(self, key: str) -> str | None:
        self._absence.check()
        return await super().lookup(key)


@pytest.mark.parametrize("kind", ["503", "429", "refused"])
@pytest.mark.parametrize("which", ["payment", "carrier"])
async def test_a_gateway_that_is_away_costs_no_order(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch, which: str, kind: Any
) -> None:
    order_id, absence = new_id(), Absence(kind)
    module, name, away = {
        "payment": ("fleet", "SimulatedPaymentGateway", AwayGateway),
        "carrier": ("fleet", "SimulatedCarrier", AwayCarrier),
    }[which]
    monkeypatch.setattr(
        f"tests.integration.support.{module}.{name}", lambda pool, _: away(pool, absence)
    )
    backends = fleet.backends()
    async with fleet.working():
        await order_service.accept(backends, order_id, an_order(f"pay-{order_id}"))
        assert (await fleet.result(order_id)).state is OrderState.FULFILLED
        status = await order_service.status(backends, order_id)
    assert absence.calls > 1
    assert status.shipping_attempts == 1
    step = status.steps["charge" if which == "payment" else "dispatch"]
    assert step.attempts <= 3
    # Asked what was said to be asked later.
    if kind == "429":
        assert absence.calls <= 6
    found = await books(fleet.pool, order_id)
    assert [one["status"] for one in found.charges] == ["captured"]
    assert (await balance(fleet.pool)).balanced


@asynccontextmanager
async def _wired(fleet: Fleet) -> AsyncIterator[tuple[Fleet, Any]]:
    """Give the workers a pool on a wire that can be cut; the gateways keep theirs."""
    async with (
        wire_to_postgres(fleet.database.url) as (wire, url),
        open_pool(url, size=5, wait_seconds=0) as pool,
    ):
        yield dataclasses.replace(fleet, pool=pool), wire


@pytest.mark.parametrize(
    "at", [OrderState.RECEIVED, OrderState.IN_REVIEW, OrderState.CHARGING, OrderState.DISPATCHING]
)
async def test_a_postgres_that_is_away_costs_no_order(fleet: Fleet, at: OrderState) -> None:
    order_id = new_id()
    backends = fleet.backends(review_seconds=1.0)
    # The statement after each call finds Postgres away.
    faults = (
        Fault("charge", "hang_after", seconds=0.5, times=1),
        Fault("dispatch", "hang_after", seconds=0.5, times=1),
    )
    async with _wired(fleet) as (wired, wire):
        if at is OrderState.RECEIVED:
            await wire.cut()
        async with wired.working(faults):
            await order_service.accept(backends, order_id, an_order(f"pay-{order_id}"))
            if at is not OrderState.RECEIVED:
                await fleet.reached(order_id, at)
                await wire.cut()
            await asyncio.sleep(_AWAY_SECONDS)
            await wire.mend()
            assert (await fleet.result(order_id)).state is OrderState.FULFILLED
            status = await order_service.status(backends, order_id)
    assert all(step.attempts <= 3 for step in status.steps.values())
    assert status.shipping_attempts == 1
    found = await books(fleet.pool, order_id)
    assert len(found.charges) == len(found.taken) == 1
    types = [event["type"] for event in found.events]
    assert sorted(types, key=types.index) == types
    assert "dispatch_failed" not in types
    assert (await balance(fleet.pool)).balanced


@pytest.mark.parametrize("what", ["cancel", "address"])
async def test_a_change_outlasts_a_postgres_that_is_away(fleet: Fleet, what: str) -> None:
    order_id = new_id()
    backends = fleet.backends(review_seconds=20.0, change_wait_seconds=20.0)
    async with _wired(fleet) as (wired, wire), wired.working():
        await order_service.accept(backends, order_id, an_order(f"pay-{order_id}"))
        await fleet.reached(order_id, OrderState.IN_REVIEW)
        await wire.cut()
        if what == "cancel":
            change = order_service.cancel(backends, order_id, "c-1", "why")
        else:
            change = order_service.update_address(
                backends, order_id, "a-1", Address("2 St", "Town")
            )
        changing = asyncio.ensure_future(change)
        await asyncio.sleep(_AWAY_SECONDS)
        await wire.mend()
        assert (await changing).outcome == "applied"
        if what == "cancel":
            assert (await fleet.result(order_id)).state is OrderState.CANCELLED

            async def ended() -> bool:
                return await fleet.state(order_id) is OrderState.CANCELLED

            await eventually(ended)
        else:
            await fleet.workflow(order_id).terminate()
    kind = "cancelled" if what == "cancel" else "address_updated"
    assert (await fleet.event_types(order_id)).count(kind) == 1


async def test_an_event_that_changes_nothing_outlasts_a_postgres_that_is_away(fleet: Fleet) -> None:
    order_id = new_id()
    backends = fleet.backends(review_seconds=20.0)
    async with _wired(fleet) as (wired, wire), wired.working():
        await order_service.accept(backends, order_id, an_order(f"pay-{order_id}"))
        await fleet.reached(order_id, OrderState.IN_REVIEW)
        await wire.cut()
        await fleet.workflow(order_id).signal(CANCEL_SIGNAL, {"reason": 5})
        await asyncio.sleep(_AWAY_SECONDS)
        await wire.mend()

        async def noted() -> bool:
            return "cancel_refused" in await fleet.event_types(order_id)

        await eventually(noted)
        await fleet.workflow(order_id).terminate()


async def test_a_claim_whose_acknowledgement_is_lost_is_held_by_its_repeat(pool: Pool) -> None:
    """The same attempt asks again; taken for another's, the order would have been given up."""
    steps = Steps(pool, "one")
    for attempt in (steps.receive(), steps.validate(), steps.charge(), steps.prepare()):
        await attempt(pool, 1)
    with pytest.raises(ConnectionResetError):
        await steps.dispatch()(fated(pool, [Fate.LOST_AFTER]), 1)
    await steps.dispatch()(pool, 1)
    found = await books(pool, "one")
    assert found.order["state"] == "fulfilled"
    assert len(found.taken) == 1
    assert [event["type"] for event in found.events].count("dispatching") == 1
