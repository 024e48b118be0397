"""A refund whose parent's build is gone: Temporal pins a child's first task to that build."""

import asyncio
from datetime import timedelta

import pytest

from orderfleet.domain.orders import OrderState
from orderfleet.gateways.simulated import Fault
from orderfleet.versions.deployments import Version
from tests.integration.support.books import books
from tests.integration.support.builds import TODAY, place, pod, ready
from tests.integration.support.fleet import Fleet
from tests.integration.support.reconciliation import reconciled
from tests.integration.support.versions import current as make_current


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no order be too young to be reconciled."""
    monkeypatch.setattr("orderfleet_order_worker.reconciliation.activities._GRACE", timedelta(0))


async def _payments(fleet: Fleet, order_id: str) -> list[str]:
    return [payment["status"] for payment in (await books(fleet.pool, order_id)).payments]


async def test_it_begins_on_the_current_build(fleet: Fleet) -> None:
    """The bad build has no RefundWorkflow, which stands for any that cannot run it."""
    async with fleet.shipping_worker((Fault(at="dispatch", kind="refuse"),)):
        async with pod(fleet, "bad", workflows=TODAY[:1]) as bad:
            await ready(bad)
            order_id = await place(fleet, review=0)
            assert (await fleet.result(order_id)).state is OrderState.FAILED
        async with pod(fleet, "good", promotion="gate") as good:
            await make_current(fleet.temporal, Version(good.worker.task_queue, "good"))
            await ready(good)
            # It would begin within milliseconds.
            await asyncio.sleep(2)
            assert await _payments(fleet, order_id) == ["captured"]
            await reconciled(fleet, order_id, OrderState.FAILED, "refunded")
