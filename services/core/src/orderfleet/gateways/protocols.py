"""What the fleet asks of a payment gateway and of a carrier.

Every operation goes by a key and is idempotent: the same call twice does the thing once. Beside
this module: `simulated_gateways` (the default) and `http_gateways`; an own one is a class with
these methods. The activities reach each of them through `bounded_gateways`.
"""

from enum import StrEnum
from typing import Final, Protocol

from msgspec import Struct
from msgspec.structs import astuple

from orderfleet.domain.orders import Address

_COUNTRY_CODE: Final = 3
_LONGEST_WAIT: Final = 3600.0


class ChargeStatus(StrEnum):
    """What a gateway knows of a payment key."""

    NONE = "none"
    CAPTURED = "captured"
    VOIDED = "voided"
    REFUNDED = "refunded"


class Charge(Struct, frozen=True):
    """A payment to capture; `key` is the payment id."""

    key: str
    order_id: str
    amount: str
    currency: str


class Shipment(Struct, frozen=True):
    """A package to hand over."""

    key: str
    order_id: str
    address: Address

    @property
    def private(self) -> tuple[str, ...]:
        """What no word of a carrier's may repeat. A country's code tells nobody's home."""
        *parts, country = astuple(self.address)
        return (*parts, country if len(country) > _COUNTRY_CODE else "")


class GatewayRefusedError(Exception):
    """A definite no: nothing was done and nothing will be; the same call need not be repeated."""


class GatewayUnknownError(Exception):
    """No answer, or one that says nothing: it may have been done. Ask by key or repeat the call."""


class GatewayUnavailableError(GatewayUnknownError):
    """Not now: it is away or too busy. The same call is worth a repeat within the same attempt.

    `retry_after` is how many seconds the gateway asked to wait, an hour at most; None if it did not
    say, or nothing of use.
    """

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after: float | None = None
        # What is not a number is not at least 0 either.
        if retry_after is not None and retry_after >= 0:
            self.retry_after = min(retry_after, _LONGEST_WAIT)


class PaymentGateway(Protocol):
    """Charges, once a key."""

    async def charge(self, charge: Charge) -> bool | None:
        """Capture the amount.

        Returns:
            True if this key had been captured before, so that nothing was done now; it is counted
            in the metrics only, and a gateway that cannot tell returns nothing.

        Raises:
            GatewayRefusedError: declined, or the key is void.
            GatewayUnknownError: it may have been captured.
        """

    async def lookup(self, key: str) -> ChargeStatus:
        """Return what became of the key."""

    async def void(self, charge: Charge) -> ChargeStatus:
        """Close the key, so that a charge still on its way is refused; tell what it was.

        Returns:
            VOIDED if nothing was captured; CAPTURED or REFUNDED if it was too late for that.
        """

    async def refund(self, charge: Charge) -> ChargeStatus:
        """Give back what was captured; REFUNDED when it is done."""


class Carrier(Protocol):
    """Takes packages, once a key."""

    async def dispatch(self, shipment: Shipment) -> str:
        """Hand the package over and return the tracking number.

        Raises:
            GatewayRefusedError: not taken, or the key was recalled.
            GatewayUnknownError: it may have been taken.
        """

    async def lookup(self, key: str) -> str | None:
        """Return the tracking number if the package was taken and not recalled, else None."""

    async def recall(self, shipment: Shipment) -> bool:
        """Close the key: call back what was taken, refuse what is still on its way.

        Returns:
            True if a package was called back, False if none had been taken.
        """
