"""An order's end is counted by whoever wrote it, and by nobody who finds it written."""

import asyncio
import dataclasses
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from temporalio.testing import ActivityEnvironment

from orderfleet.domain.contract import Cancel, OrderInput, ShippingInput
from orderfleet.domain.orders import OrderState
from orderfleet.gateways.protocols import ChargeStatus
from orderfleet.gateways.simulated import SimulatedCarrier, SimulatedPaymentGateway
from orderfleet.store.pool import Pool
from orderfleet_order_worker.activities import OrderActivities
from orderfleet_order_worker.activity_types import (
    CancelInput,
    ChargeInput,
    EndInput,
    ReceiveInput,
    RefundPaymentInput,
)
from orderfleet_order_worker.metrics import OrderWorkerMetrics
from orderfleet_shipping_worker.activities import ShippingActivities
from tests.integration.support.fleet import an_order

ORDER = "order-1"
PAYMENT = "pay-1"


class Counted:
    """The activities of an order, and what they have counted."""

    def __init__(self, pool: Pool) -> None:
        self.registry = CollectorRegistry()
        metrics = OrderWorkerMetrics(self.registry)
        order = an_order(PAYMENT)
        given = OrderInput(payment_id=PAYMENT, address=order.address, items=order.items)
        self._received = ReceiveInput(ORDER, given)
        self._orders = OrderActivities(
            pool, SimulatedPaymentGateway(pool), shipping_task_queue="s", metrics=metrics
        )
        self._shipping = ShippingActivities(pool, SimulatedCarrier(pool), metrics)

    async def charged(self) -> None:
        await self.run(self._orders.receive, self._received)
        await self.run(self._orders.validate, self._received)
        await self.charge()

    async def charge(self) -> None:
        await self.run(self._orders.charge, ChargeInput(ORDER, PAYMENT, {}))

    async def shipped(self, shipping_attempt: int = 1, *, retried: bool = False) -> None:
        step = ShippingInput(order_id=ORDER, attempt=shipping_attempt, retried=retried)
        await self.run(self._shipping.prepare, step)
        await self.run(self._shipping.dispatch, step)

    async def redispatch(self) -> None:
        await self.run(self._shipping.dispatch, ShippingInput(order_id=ORDER), attempt=2)

    async def end(self) -> None:
        await self.run(self._orders.end, EndInput(ORDER, OrderState.FAILED, "why"))

    async def cancel(self, change_id: str) -> None:
        await self.run(self._orders.cancel, CancelInput(ORDER, Cancel(change_id)))

    async def refund(self) -> None:
        await self.run(self._orders.refund, RefundPaymentInput(ORDER, PAYMENT))

    async def run(self, activity: Any, argument: Any, attempt: int = 1) -> Any:
        environment = ActivityEnvironment()
        environment.info = dataclasses.replace(environment.info, attempt=attempt)
        return await environment.run(activity, argument)

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"orderfleet_{name}", labels)

    def ended(self) -> dict[str, float | None]:
        found = {
            state: self.value("orders_ended_total", state=state)
            for state in OrderState
            if state.ended
        }
        return {state: count for state, count in found.items() if count}


@pytest.fixture
def counted(pool: Pool) -> Counted:
    return Counted(pool)


async def test_fulfilled(counted: Counted, pool: Pool) -> None:
    await counted.charged()
    await asyncio.sleep(0.3)
    await counted.shipped()
    await counted.redispatch()
    await counted.end()
    assert counted.ended() == {"fulfilled": 1}
    seconds = counted.value("order_duration_seconds_sum", state="fulfilled")
    lasted: float = await pool.fetchval(
        "SELECT extract(epoch FROM max(ts) - min(orders.created_at))::float8"
        " FROM events JOIN orders ON orders.id = order_id WHERE type = 'fulfilled'"
    )
    assert lasted > 0.3
    assert seconds == pytest.approx(lasted, abs=0.1)


@pytest.mark.parametrize(
    ("shipping_attempt", "retried", "saved"), [(1, False, 0), (1, True, 1), (2, False, 1)]
)
async def test_a_fulfilled_order_with_a_failed_attempt_is_saved_by_retries(
    counted: Counted, shipping_attempt: int, retried: bool, saved: int
) -> None:
    await counted.charged()
    await counted.shipped(shipping_attempt, retried=retried)
    await counted.redispatch()
    assert counted.value("orders_saved_by_retries_total") == saved


async def test_failed_and_refunded(counted: Counted) -> None:
    await counted.charged()
    for _ in range(2):
        await counted.end()
        # Attempts overlap: one that was given up runs on.
        await asyncio.gather(*(counted.refund() for _ in range(4)))
        await counted.cancel("too-late")
    assert counted.ended() == {"failed": 1}
    assert counted.value("refunds_total", result="refunded") == 1
    assert counted.value("refunds_total", result="voided") == 0


async def test_cancelled(counted: Counted) -> None:
    await counted.charged()
    for change_id in ("a", "a", "b"):
        await counted.cancel(change_id)
    await counted.end()
    assert counted.ended() == {"cancelled": 1}


async def test_a_charge_that_the_gateway_had_done_is_replayed(counted: Counted, pool: Pool) -> None:
    await counted.charged()
    # As if the worker had died before it could write that the payment is captured.
    await pool.execute("UPDATE orders SET state = 'charging'")
    await counted.charge()
    for replayed in ("false", "true"):
        labels = {"operation": "charge", "result": "captured", "replayed": replayed}
        assert counted.value("payments_total", **labels) == 1
    assert await SimulatedPaymentGateway(pool).lookup(PAYMENT) is ChargeStatus.CAPTURED
