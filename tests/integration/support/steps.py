"""The activities of one order, run in attempts that may overlap, as Temporal does."""

import dataclasses
from collections.abc import Awaitable, Callable
from typing import Any

from temporalio.testing import ActivityEnvironment

from orderfleet.domain.contract import AddressChange, Cancel, OrderInput, RecallInput, ShippingInput
from orderfleet.domain.events import Event, EventType
from orderfleet.domain.orders import Address, OrderState
from orderfleet.gateways.simulated import Faults, SimulatedCarrier, SimulatedPaymentGateway
from orderfleet.store.pool import Pool
from orderfleet_order_worker.activities import OrderActivities
from orderfleet_order_worker.activity_types import (
    AddressInput,
    CancelInput,
    ChargeInput,
    EndInput,
    NoteInput,
    ReceiveInput,
    RefundPaymentInput,
)
from orderfleet_shipping_worker.activities import ShippingActivities
from tests.integration.support.fleet import an_order

# Runs an attempt, by its number, of an activity on a pool.
Attempt = Callable[[Pool, int], Awaitable[Any]]


class Steps:
    """The activities of one order with their inputs. The gateways have a pool of their own."""

    def __init__(self, pool: Pool, order_id: str, faults: Faults = ()) -> None:
        self.order_id = order_id
        self.payment_id = f"pay-{order_id}"
        self.gateway = SimulatedPaymentGateway(pool, faults)
        self.carrier = SimulatedCarrier(pool, faults)
        order = an_order(self.payment_id)
        given = OrderInput(payment_id=order.payment_id, address=order.address, items=order.items)
        self._received = ReceiveInput(order_id, given)

    def receive(self) -> Attempt:
        return self._orders("receive", self._received)

    def validate(self) -> Attempt:
        return self._orders("validate", self._received)

    def charge(self) -> Attempt:
        review = {"approved": True, "by": "timer"}
        return self._orders("charge", ChargeInput(self.order_id, self.payment_id, review))

    def prepare(self, attempt: int = 1) -> Attempt:
        return self._shipping("prepare", ShippingInput(order_id=self.order_id, attempt=attempt))

    def dispatch(self, attempt: int = 1) -> Attempt:
        return self._shipping("dispatch", ShippingInput(order_id=self.order_id, attempt=attempt))

    def end(self, state: OrderState = OrderState.FAILED) -> Attempt:
        return self._orders("end", EndInput(self.order_id, state, "why"))

    def cancel(self, change_id: str = "c") -> Attempt:
        return self._orders("cancel", CancelInput(self.order_id, Cancel(change_id)))

    def change_address(self, change_id: str, address: Address) -> Attempt:
        change = AddressChange(address, change_id)
        return self._orders("change_address", AddressInput(self.order_id, change))

    def note(self) -> Attempt:
        return self._orders("note", NoteInput(self.order_id, Event(EventType("seen"), "seen")))

    def recall(self) -> Attempt:
        return self._shipping("recall", RecallInput(self.order_id))

    def refund(self) -> Attempt:
        return self._orders("refund", RefundPaymentInput(self.order_id, self.payment_id))

    def _orders(self, name: str, argument: Any) -> Attempt:
        def attempt(pool: Pool, number: int) -> Awaitable[Any]:
            activities = OrderActivities(pool, self.gateway, shipping_task_queue="shipping")
            return self._run(getattr(activities, name), number, argument)

        return attempt

    def _shipping(self, name: str, argument: Any) -> Attempt:
        def attempt(pool: Pool, number: int) -> Awaitable[Any]:
            activities = ShippingActivities(pool, self.carrier)
            return self._run(getattr(activities, name), number, argument)

        return attempt

    def _run(self, activity: Any, number: int, argument: Any) -> Awaitable[Any]:
        environment = ActivityEnvironment()
        environment.info = dataclasses.replace(
            environment.info, attempt=number, workflow_id=self.order_id
        )
        result: Awaitable[Any] = environment.run(activity, argument)
        return result
