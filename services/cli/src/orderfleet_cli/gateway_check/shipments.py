"""A carrier under check."""

import asyncio
from contextlib import suppress
from typing import Final
from urllib.parse import quote

from orderfleet.domain.orders import Address
from orderfleet.domain.policies import GATEWAY_CALL_SECONDS, GATEWAY_LOOKUP_SECONDS
from orderfleet.gateways.http import HTTPCarrier
from orderfleet.gateways.protocols import GatewayRefusedError, GatewayUnknownError, Shipment
from orderfleet_cli.gateway_check.probe import Probe, Request
from orderfleet_cli.gateway_check.target import Target

HOME: Final = Address(street="1 Main St", city="Springfield", name="Ann Lee", country="US")
_CLEANERS: Final = 8


class Shipments(Probe):
    """Packages, each with a key of its own, and what the carrier says of them."""

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self._carrier = HTTPCarrier(target.url, target.credentials)
        self._shipments: list[Shipment] = []
        self._kept: dict[str, Shipment] = {}

    async def aclose(self) -> None:
        """Close the connections."""
        await super().aclose()
        await self._carrier.aclose()

    def new(self, key: str = "", address: Address = HOME) -> Shipment:
        """Return a package that the carrier has not seen; a key is an order's id and a number."""
        order_id = key.rpartition("/")[0] or self.new_key()
        shipment = Shipment(key or f"{order_id}/1", order_id, address)
        self._shipments.append(shipment)
        return shipment

    async def dispatch(self, shipment: Shipment) -> str:
        """Hand the package over; return the tracking number."""
        return await self.call(self._carrier.dispatch, shipment, seconds=GATEWAY_CALL_SECONDS)

    async def lookup(self, shipment: Shipment) -> str | None:
        """Look the key up."""
        return await self.call(self._carrier.lookup, shipment.key, seconds=GATEWAY_LOOKUP_SECONDS)

    async def recall(self, shipment: Shipment) -> bool:
        """Recall the package."""
        return await self.call(self._carrier.recall, shipment, seconds=GATEWAY_LOOKUP_SECONDS)

    async def dispatched(self) -> tuple[Shipment, str]:
        """Return a new package that was taken, and its tracking number."""
        shipment = self.new()
        return shipment, await self.dispatch(shipment)

    async def closed(self) -> Shipment:
        """Return a new package that was recalled before it was handed over."""
        shipment = self.new()
        await self.recall(shipment)
        return shipment

    async def kept(self, name: str) -> Shipment:
        """Return a package of before the restart, `taken` or `recalled`."""
        if not self._kept:
            self._kept = {"taken": (await self.dispatched())[0], "recalled": await self.closed()}
        await self.restart()
        return self._kept[name]

    def request(self, shipment: Shipment, action: str = "") -> Request:
        """Return the request of a hand-over, or of a recall."""
        seconds = GATEWAY_LOOKUP_SECONDS if action else GATEWAY_CALL_SECONDS
        path = f"/shipments/{quote(shipment.key, safe='')}/{action}" if action else "/shipments"
        return Request("POST", path, seconds, shipment)

    def walk(self) -> list[Request]:
        """Return requests that use a new key from its first look-up to its last."""
        shipment = self.new()
        path = f"/shipments/{quote(shipment.key, safe='')}"
        lookup = Request("GET", path, GATEWAY_LOOKUP_SECONDS)
        dispatch, recall = self.request(shipment), self.request(shipment, "recall")
        return [lookup, dispatch, lookup, recall, lookup]

    async def take(self) -> None:
        """Hand a package over with a new key."""
        await self.dispatched()

    async def clean_up(self) -> None:
        """Recall every package."""
        places = asyncio.Semaphore(_CLEANERS)

        async def undo(shipment: Shipment) -> None:
            with suppress(GatewayRefusedError, GatewayUnknownError, TimeoutError):
                async with places:
                    await self._carrier.recall(shipment)

        async with asyncio.TaskGroup() as group:
            for shipment in self._shipments:
                group.create_task(undo(shipment))
