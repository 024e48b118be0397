"""The activities: each step's row and event in one transaction of an ORM session."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity

from tests.bench.peers.common_way.messages import OrderInput, ShippingInput
from tests.bench.peers.common_way.models import (
    ChargeRow,
    EventRow,
    OrderRow,
    PaymentRow,
    Sessions,
    ShipmentRow,
)


class Activities:
    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    @activity.defn
    async def receive(self, given: OrderInput) -> None:
        order, order_id = given.order, given.order_id
        async with self._sessions.begin() as session:
            if await session.get(OrderRow, order_id) is None:
                row = OrderRow(
                    id=order_id,
                    payment_id=order.payment_id,
                    amount=order.amount,
                    currency=order.currency,
                    state="received",
                    address_json=asdict(order.address),
                    items_json=[asdict(item) for item in order.items],
                )
                session.add_all([row, _event(row, "received")])

    @activity.defn
    async def validate(self, given: OrderInput) -> str:
        if not given.order.amount:
            await self._enter(given.order_id, "received", "rejected", "rejected")
            return "nothing to charge"
        await self._enter(given.order_id, "received", "in_review", "validated")
        return ""

    @activity.defn
    async def charge(self, order_id: str) -> None:
        async with self._locked(order_id) as (session, order):
            money = {"amount": order.amount, "currency": order.currency, "order_id": order_id}
            if order.state == "in_review":
                order.state = "charging"
                payment = PaymentRow(payment_id=order.payment_id, status="pending", **money)
                events = [_event(order, "reviewed"), _event(order, "charging")]
                session.add_all([payment, *events])
        await self._gateway(ChargeRow, key=order.payment_id, status="captured", **money)
        async with self._locked(order_id) as (session, order):
            if order.state == "charging":
                order.state = "charged"
                (await session.get_one(PaymentRow, order.payment_id)).status = "captured"
                session.add(_event(order, "charged"))

    @activity.defn
    async def cancel(self, order_id: str) -> None:
        """End the order; what was captured goes back."""
        async with self._locked(order_id) as (session, order):
            if order.state != "cancelled":
                order.state = "cancelled"
                session.add(_event(order, "cancelled"))
                for table in (PaymentRow, ChargeRow):
                    if found := await session.get(table, order.payment_id):
                        found.status = "refunded"

    @activity.defn
    async def prepare(self, shipping: ShippingInput) -> None:
        await self._enter(shipping.order_id, "charged", "shipping", "prepared")

    @activity.defn
    async def dispatch(self, shipping: ShippingInput) -> None:
        key, address = shipping.order_id, asdict(shipping.address)
        await self._enter(key, "shipping", "dispatching", "dispatching")
        await self._gateway(
            ShipmentRow, key=key, order_id=key, address_json=address, status="taken"
        )
        await self._enter(key, "dispatching", "fulfilled", "fulfilled")

    @asynccontextmanager
    async def _locked(self, order_id: str) -> AsyncIterator[tuple[AsyncSession, OrderRow]]:
        async with self._sessions.begin() as session:
            yield session, await session.get_one(OrderRow, order_id, with_for_update=True)

    async def _enter(self, order_id: str, before: str, state: str, event: str) -> None:
        """Enter the state, unless an attempt before has."""
        async with self._locked(order_id) as (session, order):
            if order.state == before:
                order.state = state
                session.add(_event(order, event))

    async def _gateway(self, table: Any, **values: Any) -> None:
        """Call a simulated gateway, which writes one row a key, by itself."""
        async with self._sessions.begin() as session:
            await session.execute(insert(table).values(**values).on_conflict_do_nothing())


def _event(order: OrderRow, kind: str) -> EventRow:
    return EventRow(order=order, type=kind, payload_json={"attempt": activity.info().attempt})
