"""A payment gateway under check."""

import asyncio
from contextlib import suppress
from typing import Final
from urllib.parse import quote

from orderfleet.domain.policies import GATEWAY_CALL_SECONDS, GATEWAY_LOOKUP_SECONDS
from orderfleet.gateways.http import HTTPPaymentGateway
from orderfleet.gateways.protocols import (
    Charge,
    ChargeStatus,
    GatewayRefusedError,
    GatewayUnknownError,
)
from orderfleet_cli.gateway_check.probe import Probe, Request
from orderfleet_cli.gateway_check.target import Target

_CLEANERS: Final = 8


class Payments(Probe):
    """Charges, each with a key of its own, and what the gateway says of them."""

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self._gateway = HTTPPaymentGateway(target.url, target.credentials)
        self._charges: list[Charge] = []
        self._kept: dict[ChargeStatus, Charge] = {}

    async def aclose(self) -> None:
        """Close the connections."""
        await super().aclose()
        await self._gateway.aclose()

    def new(self, key: str = "", *, amount: str = "", currency: str = "") -> Charge:
        """Return a charge that the gateway has not seen."""
        key = key or self.new_key()
        charge = Charge(
            key, f"order-{key}"[:64], amount or self.target.amount, currency or self.target.currency
        )
        self._charges.append(charge)
        return charge

    async def charge(self, charge: Charge) -> bool:
        """Charge; return whether the gateway says that it did so before."""
        return await self.call(self._gateway.charge, charge, seconds=GATEWAY_CALL_SECONDS)

    async def lookup(self, charge: Charge) -> ChargeStatus:
        """Look the key up."""
        return await self.call(self._gateway.lookup, charge.key, seconds=GATEWAY_LOOKUP_SECONDS)

    async def void(self, charge: Charge) -> ChargeStatus:
        """Void the key."""
        return await self.call(self._gateway.void, charge, seconds=GATEWAY_LOOKUP_SECONDS)

    async def refund(self, charge: Charge) -> ChargeStatus:
        """Refund."""
        return await self.call(self._gateway.refund, charge, seconds=GATEWAY_CALL_SECONDS)

    async def charged(self) -> Charge:
        """Return a new charge that was captured."""
        charge = self.new()
        await self.charge(charge)
        return charge

    async def voided(self) -> Charge:
        """Return a new charge whose key was voided."""
        charge = self.new()
        await self.void(charge)
        return charge

    async def refunded(self) -> Charge:
        """Return a new charge that was captured and refunded."""
        charge = await self.charged()
        await self.refund(charge)
        return charge

    async def kept(self, status: ChargeStatus) -> Charge:
        """Return a charge of that status from before the restart."""
        if not self._kept:
            self._kept = {
                ChargeStatus.CAPTURED: await self.charged(),
                ChargeStatus.VOIDED: await self.voided(),
                ChargeStatus.REFUNDED: await self.refunded(),
            }
        await self.restart()
        return self._kept[status]

    def request(self, charge: Charge, action: str = "") -> Request:
        """Return the request of a charge, or of `void` or `refund`."""
        seconds = GATEWAY_LOOKUP_SECONDS if action == "void" else GATEWAY_CALL_SECONDS
        path = f"/charges/{quote(charge.key, safe='')}/{action}" if action else "/charges"
        return Request("POST", path, seconds, charge)

    def walk(self) -> list[Request]:
        """Return requests that use a new key from its first look-up to its last."""
        charge = self.new()
        lookup = Request("GET", f"/charges/{charge.key}", GATEWAY_LOOKUP_SECONDS)
        actions = [self.request(charge, action) for action in ("", "void", "refund")]
        return [lookup, *actions, lookup]

    async def take(self) -> None:
        """Charge with a new key."""
        await self.charged()

    async def clean_up(self) -> None:
        """Refund what was captured, and void the other keys."""
        places = asyncio.Semaphore(_CLEANERS)

        async def undo(charge: Charge) -> None:
            with suppress(GatewayRefusedError, GatewayUnknownError, TimeoutError):
                async with places:
                    if await self._gateway.void(charge) is ChargeStatus.CAPTURED:
                        await self._gateway.refund(charge)

        async with asyncio.TaskGroup() as group:
            for charge in self._charges:
                group.create_task(undo(charge))
