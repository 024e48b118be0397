"""The interface of a payment gateway and of a carrier.

Every operation has a key and is idempotent: a repeated call has no further effect. `simulated` has
the default implementations, `http` those for a provider behind a URL; any class with these methods
is another one, which `factory` returns. Activities call them through `sanitized`.
"""

from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol, runtime_checkable

from msgspec import Struct
from msgspec.structs import astuple

from orderfleet.domain.orders import Address

_COUNTRY_CODE_LENGTH: Final = 3
_MOST_RETRY_AFTER: Final = 3600.0


class ChargeStatus(StrEnum):
    """The state of a payment key at the gateway."""

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


class ListedCharge(Charge, frozen=True, kw_only=True):
    """A charge with its status and the time at which it was made."""

    status: ChargeStatus
    created_at: datetime


class ChargePage(Struct, frozen=True):
    """Charges, and the cursor of those after them; an empty one ends the list."""

    charges: list[ListedCharge]
    next: str = ""


class Shipment(Struct, frozen=True):
    """A package to hand over."""

    key: str
    order_id: str
    address: Address

    @property
    def private(self) -> tuple[str, ...]:
        """What a carrier's message must not repeat; a country code identifies nobody."""
        *parts, country = astuple(self.address)
        return (*parts, country if len(country) > _COUNTRY_CODE_LENGTH else "")


class GatewayRefusedError(Exception):
    """A definite refusal: the call had no effect and will have none. A retry cannot help."""


class GatewayUnknownError(Exception):
    """The outcome is unknown: the call may have had its effect. Look the key up, or retry."""


class GatewayUnavailableError(GatewayUnknownError):
    """The gateway is unreachable or overloaded; a retry within the same attempt may succeed.

    `retry_after` is the number of seconds that the gateway asked to wait, at most an hour; None
    without a usable value.
    """

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after: float | None = None
        # NaN is not >= 0 either.
        if retry_after is not None and retry_after >= 0:
            self.retry_after = min(retry_after, _MOST_RETRY_AFTER)


class PaymentGateway(Protocol):
    """Charges each key at most once."""

    async def charge(self, charge: Charge) -> bool | None:
        """Capture the amount.

        Returns:
            True if the key had been captured before and the call had no effect. It shows in the
            metrics only; a gateway that does not know returns None.

        Raises:
            GatewayRefusedError: declined, or the key is voided.
            GatewayUnknownError: the amount may have been captured.
        """

    async def lookup(self, key: str) -> ChargeStatus:
        """Return the state of the key."""

    async def void(self, charge: Charge) -> ChargeStatus:
        """Close the key, so that a charge that arrives later is refused.

        Returns:
            VOIDED if nothing was captured; CAPTURED or REFUNDED if it was too late.
        """

    async def refund(self, charge: Charge) -> ChargeStatus:
        """Refund what was captured; return REFUNDED once that is done."""


@runtime_checkable
class ChargeLister(Protocol):
    """A `PaymentGateway` that can list what this fleet charged.

    After a restore from a backup the list is all that is left of the orders since.
    """

    async def list_charges(self, since: datetime, after: str) -> ChargePage | None:
        """Return the first charges since a time, or those after a cursor; None without a list."""


class Carrier(Protocol):
    """Takes at most one package for each key."""

    async def dispatch(self, shipment: Shipment) -> str:
        """Hand the package over and return the tracking number.

        Raises:
            GatewayRefusedError: not taken, or the key was recalled.
            GatewayUnknownError: the package may have been taken.
        """

    async def lookup(self, key: str) -> str | None:
        """Return the tracking number if the package was taken and not recalled, else None."""

    async def recall(self, shipment: Shipment) -> bool:
        """Close the key: call back a package that was taken, refuse one that arrives later.

        Returns:
            True if a package was called back, False if the carrier had none.
        """
