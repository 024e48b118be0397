"""A steady flow of orders whose client keeps every answer that it got."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

import httpx

from orderfleet_cli.local import Fleet
from tests.e2e.support.orders import ELSEWHERE, HOME, Json, clients

# Orders a second; a machine that does other things as well takes fewer.
RATE: Final = float(os.environ.get("RATE", "5"))
_AGAIN_SECONDS: Final = 0.3
_PATIENCE: Final = 30.0
# When an order is changed: before its review ends, at its charge, at its dispatch.
_CHANGED_AFTER: Final = (0.5, 2.1, 2.4)


@dataclass
class Order:
    """An order as its client knows it: what was answered."""

    id: str
    payment_id: str
    # Of the last answer; 429 and 503 are those of a fleet that is busy or away.
    status: int = 0
    cancelled: bool = False
    moved: bool = False

    @property
    def accepted(self) -> bool:
        return self.status == HTTPStatus.ACCEPTED


@dataclass
class Flow:
    """All orders so far."""

    http: httpx.AsyncClient
    orders: list[Order] = field(default_factory=list)
    refused: int = 0

    async def place(self, order: Order) -> int:
        """Place an order, again until it is answered for good; return the status."""
        body = {"payment_id": order.payment_id, "address": HOME}
        order.status = await self._send(f"/orders/{order.id}/start", body)
        return order.status

    async def run(self, prefix: str) -> None:
        """Place orders at a steady rate until it is cancelled; change some of them."""
        number = 0
        async with asyncio.TaskGroup() as group:
            try:
                while True:
                    number += 1
                    order = Order(f"{prefix}-{number}", f"pay-{prefix}-{number}")
                    self.orders.append(order)
                    group.create_task(self._follow(order, number))
                    await asyncio.sleep(1 / RATE)
            except asyncio.CancelledError:
                # Those under way get their answers.
                pass

    async def _follow(self, order: Order, number: int) -> None:
        await self.place(order)
        after = _CHANGED_AFTER[number % len(_CHANGED_AFTER)]
        match number % 7:
            case 1:
                await asyncio.sleep(after)
                status = await self._send(f"/orders/{order.id}/signals/cancel", {"reason": "?"})
                order.cancelled = status == HTTPStatus.OK
            case 2:
                await asyncio.sleep(after)
                body = {"address": ELSEWHERE}
                status = await self._send(f"/orders/{order.id}/signals/update-address", body)
                order.moved = status == HTTPStatus.OK

    async def _send(self, path: str, body: Json) -> int:
        until = time.monotonic() + _PATIENCE
        key = {"Idempotency-Key": path}
        while True:
            try:
                status = (await self.http.post(path, json=body, headers=key)).status_code
            except httpx.TransportError:
                status = 0
            if status not in {0, 429, 503} or time.monotonic() > until:
                return status
            self.refused += 1
            await asyncio.sleep(_AGAIN_SECONDS)


@asynccontextmanager
async def flow(fleet: Fleet, prefix: str) -> AsyncIterator[Flow]:
    """Place orders while the block runs."""
    async with clients(fleet) as http:
        placed = Flow(http)
        running = asyncio.create_task(placed.run(prefix))
        try:
            yield placed
        finally:
            running.cancel()
            await running
