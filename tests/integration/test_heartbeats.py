"""A running attempt beats: the server hears that it lives, and it hears when it is given up."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from orderfleet.domain import policies
from orderfleet.domain.orders import OrderState
from orderfleet.gateways.simulated import Fault
from orderfleet.observability.worker_metrics import WorkerMetrics
from orderfleet.temporal.fault_injection import FlakyInterceptor
from orderfleet_api import order_service
from tests.integration.support.books import books
from tests.integration.support.fleet import Fleet, an_order, eventually, new_id


class _Hangs(random.Random):
    """Hangs the third attempt that it is asked about, the first of the charge."""

    def __init__(self) -> None:
        super().__init__()
        self._draws: Iterator[float] = iter([0.9, 0.9, 0.5])

    def random(self) -> float:
        return next(self._draws, 0.9)


class _Worked:
    """The attempts of an order worker, by their outcome."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.metrics = WorkerMetrics(self._registry)

    async def cancelled(self, step: str) -> None:
        """Wait until an attempt of the step has ended by its cancellation."""
        labels = {"step": step, "outcome": "cancelled"}

        async def seen() -> bool:
            found = self._registry.get_sample_value("orderfleet_step_attempts_total", labels)
            return found == 1

        await eventually(seen)


@asynccontextmanager
async def _working(fleet: Fleet, *faults: Fault, **more: Any) -> AsyncIterator[_Worked]:
    worked = _Worked()
    async with (
        fleet.order_worker(faults, metrics=worked.metrics, **more),
        fleet.shipping_worker(faults),
    ):
        yield worked


async def _heard(fleet: Fleet, order_id: str, *, times: int) -> None:
    """Wait until the server has heard of the first attempt so many times."""
    heard: set[int] = set()

    async def often() -> bool:
        described = await fleet.workflow(order_id).describe()
        for running in described.raw_description.pending_activities:
            if running.attempt == 1 and running.HasField("last_heartbeat_time"):
                heard.add(running.last_heartbeat_time.ToNanoseconds())
        return len(heard) >= times

    await eventually(often)


async def test_an_attempt_that_hangs_lives_and_is_given_up_by_its_own_timeout(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "orderfleet.runtime.worker.FlakyInterceptor", partial(FlakyInterceptor, chance=_Hangs())
    )
    # Longer than the heartbeat's timeout: without beats the attempt would be lost by that.
    limit = policies.HEARTBEAT_TIMEOUT + timedelta(seconds=1)
    monkeypatch.setattr(policies, "GATEWAY_STEP", limit)
    order_id = new_id()
    backends = fleet.backends()
    async with _working(fleet, flaky="*") as worked:
        await order_service.accept(backends, order_id, an_order(f"pay-{order_id}"))
        # The SDK, left to itself, would hold every other beat back.
        await _heard(fleet, order_id, times=4)
        # Its next beat tells it that nobody waits for it any more.
        await worked.cancelled("charge")
        assert (await fleet.result(order_id)).state is OrderState.FULFILLED
        status = await order_service.status(backends, order_id)
        assert status.errors == ["charge: timed out or worker lost"]


async def test_a_charge_that_is_cancelled_stops_and_what_it_took_comes_back(fleet: Fleet) -> None:
    # Longer than a call may take; cancelled, it goes on at the gateway.
    hangs = Fault("charge", "hang_before", seconds=2.0)
    order_id = new_id()
    backends = fleet.backends()
    async with _working(fleet, hangs) as worked:
        await order_service.accept(backends, order_id, an_order(f"pay-{order_id}"))
        await fleet.reached(order_id, OrderState.CHARGING)
        landed = asyncio.get_running_loop().time() + 2.2
        assert (
            await order_service.cancel(backends, order_id, "c", "")
        ).state is OrderState.CANCELLED
        await worked.cancelled("charge")
        assert (await fleet.result(order_id)).state is OrderState.CANCELLED

        async def settled() -> bool:
            found = await books(fleet.pool, order_id)
            return [one["status"] for one in found.payments] in (["voided"], ["refunded"])

        await eventually(settled)
        # It makes no difference when the charge lands that was on its way.
        await asyncio.sleep(landed - asyncio.get_running_loop().time())
    found = await books(fleet.pool, order_id)
    assert [one["status"] for one in found.charges] == [one["status"] for one in found.payments]
    assert "charged" not in [one["type"] for one in found.events]
