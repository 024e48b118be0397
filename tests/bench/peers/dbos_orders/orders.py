"""The order as a durable workflow of DBOS: the fleet's own statements, one step each.

A step that is cut off runs again, as an activity does; the statements are idempotent for that.
"""

from typing import Any

import msgspec
from dbos import DBOS, DBOSConfiguredInstance

from orderfleet.domain.events import Event, EventType, fulfilled
from orderfleet.domain.orders import Order, OrderState
from orderfleet.domain.payments import PaymentStatus
from orderfleet.gateways.protocols import Charge, Shipment
from orderfleet.gateways.simulated import SimulatedCarrier, SimulatedPaymentGateway
from orderfleet.store.dispatch import ClaimRefused, claim_dispatch
from orderfleet.store.payments import ChargeStart, begin_charge, record_payment_outcome
from orderfleet.store.pool import Pool
from orderfleet.store.transitions import Transition, end_order, move, receive

REVIEW = "review"

_step = DBOS.step(retries_allowed=True, interval_seconds=0.2, max_attempts=3)


@DBOS.dbos_class()
class Orders(DBOSConfiguredInstance):
    """The workflow and its steps, on a pool of connections."""

    def __init__(self, pool: Pool) -> None:
        super().__init__(config_name="orders")
        self._pool = pool
        self._payments = SimulatedPaymentGateway(pool)
        self._carrier = SimulatedCarrier(pool)

    @DBOS.workflow()
    async def fulfil(self, order_id: str, order: dict[str, Any], review_seconds: float) -> str:
        """Fulfil the order, or reject it; `review` is sent whether a person approves it."""
        await self.receive(order_id, order)
        if problem := await self.validate(order_id, order):
            return await self.reject(order_id, problem)
        approved = await DBOS.recv_async(REVIEW, timeout_seconds=review_seconds)
        if approved is False:
            return await self.reject(order_id, "not approved")
        await self.charge(order_id, order["payment_id"])
        await self.prepare(order_id)
        await self.dispatch(order_id)
        return OrderState.FULFILLED.value

    @_step
    async def receive(self, order_id: str, order: dict[str, Any]) -> None:
        if not await receive(self._pool, order_id, msgspec.convert(order, Order), {}):
            raise ValueError(f"another order has the id {order_id}")

    @_step
    async def validate(self, order_id: str, order: dict[str, Any]) -> str:
        if msgspec.convert(order, Order).amount == "0.00":
            return "nothing to charge"
        await self._enter(order_id, OrderState.IN_REVIEW, Event(EventType.VALIDATED, "validated"))
        return ""

    @_step
    async def reject(self, order_id: str, reason: str) -> str:
        await end_order(self._pool, order_id, OrderState.REJECTED, reason, [])
        return OrderState.REJECTED.value

    @_step
    async def charge(self, order_id: str, payment_id: str) -> None:
        review = {"approved": True}
        start = await begin_charge(self._pool, order_id, payment_id, review, {})
        if isinstance(start, ChargeStart):
            charge = Charge(payment_id, order_id, start.amount, start.currency)
            await self._payments.charge(charge)
        elif start is None:
            raise LookupError(order_id)
        await record_payment_outcome(self._pool, order_id, payment_id, PaymentStatus.CAPTURED, {})

    @_step
    async def prepare(self, order_id: str) -> None:
        await self._enter(order_id, OrderState.SHIPPING, Event(EventType.PREPARED, "prepared"))

    @_step
    async def dispatch(self, order_id: str) -> str:
        claimed = await claim_dispatch(self._pool, order_id, f"{order_id}/1", "1", {})
        if claimed is None or isinstance(claimed, ClaimRefused):
            raise ValueError(f"no claim on {order_id}")
        shipment = Shipment(claimed.key, order_id, claimed.address)
        tracking = await self._carrier.dispatch(shipment)
        await self._enter(order_id, OrderState.FULFILLED, fulfilled(tracking))
        return tracking

    async def _enter(self, order_id: str, state: OrderState, event: Event) -> Transition:
        moved = await move(self._pool, order_id, [event], to=state)
        if moved is None or not moved.applied:
            raise ValueError(f"{order_id} is {moved.state if moved else 'unknown'}")
        return moved
