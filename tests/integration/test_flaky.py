"""Fault injection hits what it is aimed at, and an order that it ends is ended cleanly."""

import asyncio
import dataclasses
import random
from functools import partial
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput

from orderfleet.domain.orders import OrderState
from orderfleet.store.simulated_ledger import balance
from orderfleet.temporal.fault_injection import (
    FLAKY_ACTIVITIES,
    FlakyInterceptor,
    ForcedFailureError,
)
from orderfleet_api import order_service
from orderfleet_order_worker.activities import OrderActivities
from orderfleet_order_worker.reconciliation.activities import ReconciliationActivities
from orderfleet_shipping_worker.activities import ShippingActivities
from tests.integration.support.fleet import Fleet, an_order, eventually, new_id

_ALL = {
    name
    for owner in (OrderActivities, ShippingActivities, ReconciliationActivities)
    for name in vars(owner)
    if not name.startswith("_") and name != "all"
}


class _Chance(random.Random):
    """Always draws the same."""

    def __init__(self, drawn: float) -> None:
        super().__init__()
        self._drawn = drawn

    def random(self) -> float:
        return self._drawn


class _Toss(random.Random):
    """Raises or goes on, and never hangs: a hang would only wait for its timeout."""

    def random(self) -> float:
        return 0.0 if super().random() < 0.5 else 0.9


class _Work(ActivityInboundInterceptor):
    def __init__(self) -> None:
        """Stand where the activity itself would."""

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002
        return "done"


async def _attempt(drawn: float, name: str, workflow_id: str) -> Any:
    interceptor = FlakyInterceptor("flaky-*", chance=_Chance(drawn))
    environment = ActivityEnvironment()
    environment.info = dataclasses.replace(
        environment.info, activity_type=name, workflow_id=workflow_id
    )
    inbound = interceptor.intercept_activity(_Work())
    work = ExecuteActivityInput(fn=print, args=[], executor=None, headers={})
    return await environment.run(inbound.execute_activity, work)


@pytest.mark.parametrize("name", sorted(_ALL))
async def test_only_the_five_activities_of_matching_orders_are_hit(name: str) -> None:
    assert len(FLAKY_ACTIVITIES) == 5
    assert _ALL > FLAKY_ACTIVITIES
    for workflow_id in ("flaky-1", "flaky-1/shipping/2"):
        if name in FLAKY_ACTIVITIES:
            with pytest.raises(ForcedFailureError, match=r"^Forced failure for testing$"):
                await _attempt(0.32, name, workflow_id)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.02):
                    await _attempt(0.66, name, workflow_id)
        else:
            assert await _attempt(0.0, name, workflow_id) == "done"
        assert await _attempt(0.68, name, workflow_id) == "done"
    for workflow_id in ("order-1", "order-1/shipping/1", "not-flaky-1", "reconcile-orders"):
        assert await _attempt(0.0, name, workflow_id) == "done"


async def test_what_it_ends_is_ended_cleanly_and_the_others_are_fulfilled(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "orderfleet.runtime.worker.FlakyInterceptor", partial(FlakyInterceptor, chance=_Toss(14))
    )
    flaky = [new_id("flaky") for _ in range(6)]
    others = [new_id() for _ in range(6)]
    backends = fleet.backends()
    async with fleet.working(flaky="flaky-*"):
        for order_id in flaky + others:
            await order_service.accept(backends, order_id, an_order(f"pay-{order_id}"))
        errors = []
        for order_id in flaky:
            result = await fleet.result(order_id)
            assert result.state in {OrderState.FULFILLED, OrderState.FAILED}
            assert await fleet.state(order_id) is result.state
            errors += (await order_service.status(backends, order_id)).errors
        assert any("Forced failure for testing" in error for error in errors)
        for order_id in others:
            assert (await fleet.result(order_id)).state is OrderState.FULFILLED
            assert (await order_service.status(backends, order_id)).errors == []

        async def balanced() -> bool:
            return (await balance(fleet.pool)).balanced

        await eventually(balanced)
