"""The claim of a dispatch decides between attempts that overlap."""

import asyncio

import pytest
from temporalio.exceptions import ApplicationError

from orderfleet.domain.orders import Address
from orderfleet.gateways.protocols import GatewayRefusedError, GatewayUnknownError, Shipment
from orderfleet.gateways.simulated import Fault, SimulatedCarrier
from orderfleet.store.pool import Pool
from orderfleet.store.simulated_ledger import balance
from tests.integration.support.books import books
from tests.integration.support.chaos import Fate, fated
from tests.integration.support.fleet import HOME, eventually
from tests.integration.support.steps import Steps


async def _prepared(pool: Pool, steps: Steps) -> None:
    for attempt in (steps.receive(), steps.validate(), steps.charge(), steps.prepare()):
        await attempt(pool, 1)


async def test_a_definite_failure_gives_the_claim_back_when_its_acknowledgement_is_lost(
    pool: Pool,
) -> None:
    """The row must not stay `dispatching`: no change would get through any more."""
    steps = Steps(pool, "one", (Fault("dispatch", "refuse"),))
    await _prepared(pool, steps)
    with pytest.raises(ConnectionResetError):
        await steps.dispatch()(fated(pool, [Fate.FINE, Fate.LOST_AFTER]), 1)
    with pytest.raises(ApplicationError, match="refused"):
        await steps.dispatch()(pool, 2)
    record = await books(pool, "one")
    assert (record.order["state"], record.order["dispatch_key"]) == ("shipping", None)
    [failed] = [event for event in record.events if event["type"] == "dispatch_failed"]
    assert failed["payload_json"] == {
        "attempt": 1,
        "reason": "refused (injected)",
        "released": True,
    }


class _SlowReply(SimulatedCarrier):
    """Takes the first package late and answers later still; refuses all other calls."""

    def __init__(self, pool: Pool) -> None:
        super().__init__(pool)
        self._calls = 0
        self._refused = asyncio.Event()
        self._taken = asyncio.Event()
        self.answer = asyncio.Event()

    async def dispatch(self, shipment: Shipment) -> str:
        self._calls += 1
        if self._calls == 1:
            await self._refused.wait()
            tracking = await super().dispatch(shipment)
            self._taken.set()
            await self.answer.wait()
            return tracking
        self._refused.set()
        await self._taken.wait()
        if self._calls == 3:
            self.answer.set()
            await asyncio.sleep(0.1)
        raise GatewayRefusedError("no")


async def test_an_old_attempt_does_not_fulfil_by_a_package_that_was_called_back(
    pool: Pool,
) -> None:
    """Its reply comes while a later shipping attempt holds the claim, under another key."""
    steps = Steps(pool, "one")
    steps.carrier = carrier = _SlowReply(pool)
    await _prepared(pool, steps)
    first = asyncio.ensure_future(steps.dispatch(1)(pool, 1))

    async def claimed() -> bool:
        return bool((await books(pool, "one")).order["state"] == "dispatching")

    await eventually(claimed)
    with pytest.raises(ApplicationError, match="no"):
        await steps.dispatch(1)(pool, 2)
    assert (await books(pool, "one")).shipments[0]["status"] == "recalled"
    with pytest.raises(ApplicationError, match="no"):
        await steps.dispatch(2)(pool, 1)
    assert carrier.answer.is_set()
    with pytest.raises(ApplicationError, match="order is"):
        await first
    await steps.end()(pool, 1)
    await steps.refund()(pool, 1)
    ledger = await balance(pool)
    assert ledger.balanced, ledger
    assert (await books(pool, "one")).order["state"] == "failed"


async def test_a_later_shipping_attempt_keeps_the_key_of_a_package_that_may_be_out(
    pool: Pool,
) -> None:
    """A key of its own would be a second package."""
    steps = Steps(pool, "one", (Fault("dispatch", "reply_lost", times=1),))
    await _prepared(pool, steps)
    with pytest.raises(GatewayUnknownError):
        await steps.dispatch(1)(pool, 1)
    await steps.dispatch(2)(pool, 1)
    record = await books(pool, "one")
    assert record.order["state"] == "fulfilled"
    assert [row["key"] for row in record.shipments] == ["one/1"]


async def test_no_change_gets_through_a_claim(pool: Pool) -> None:
    steps = Steps(pool, "one", (Fault("dispatch", "fail_before", times=1),))
    await _prepared(pool, steps)
    with pytest.raises(GatewayUnknownError):
        await steps.dispatch()(pool, 1)
    for attempt in (steps.cancel("c"), steps.change_address("a", Address("2 Street", "Town"))):
        changed = await attempt(pool, 1)
        assert (changed.applied, changed.reason) == (False, "already dispatched")
    await steps.dispatch()(pool, 2)
    record = await books(pool, "one")
    assert record.taken[0]["address_json"] == record.order["address_json"]
    assert record.order["address_json"]["street"] == HOME.street
