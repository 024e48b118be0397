"""The one way from the fleet to a gateway, whichever it is: its words are bounded.

What a gateway says goes into rows, logs, Temporal's histories and the status of an order, so no
answer, and no exception of it, is longer than a few lines, has a character in it that a database
refuses, or repeats an address.
"""

from collections.abc import Awaitable, Callable
from typing import Final, NoReturn, TypeVar

from orderfleet.gateways.protocols import (
    Carrier,
    Charge,
    ChargeStatus,
    GatewayRefusedError,
    GatewayUnavailableError,
    GatewayUnknownError,
    PaymentGateway,
    Shipment,
)
from orderfleet.gateways.redaction import MASK, redact, sanitize
from orderfleet.store.pool import UNAVAILABLE

A = TypeVar("A")
T = TypeVar("T")

_REASON_BYTES: Final = 300
_TRACKING_BYTES: Final = 200
_CODE_LENGTH: Final = 3


class SanitizedPaymentGateway:
    """A `PaymentGateway` within bounds."""

    def __init__(self, gateway: PaymentGateway) -> None:
        self._gateway = gateway

    async def charge(self, charge: Charge) -> bool:
        """Capture the amount; tell whether it had been before."""
        return await self._ask(self._gateway.charge, charge) is True

    async def lookup(self, key: str) -> ChargeStatus:
        """Ask what became of a key."""
        return _status(await self._ask(self._gateway.lookup, key))

    async def void(self, charge: Charge) -> ChargeStatus:
        """Close the key."""
        return _status(await self._ask(self._gateway.void, charge))

    async def refund(self, charge: Charge) -> ChargeStatus:
        """Give back what was captured."""
        return _status(await self._ask(self._gateway.refund, charge))

    async def _ask(self, call: Callable[[A], Awaitable[T]], argument: A) -> T:
        return await _bounded(call, argument, "the payment gateway")


class SanitizedCarrier:
    """A `Carrier` within bounds; a look-up needs the address, to know it when it hears it."""

    def __init__(self, carrier: Carrier) -> None:
        self._carrier = carrier

    async def dispatch(self, shipment: Shipment) -> str:
        """Hand the package over."""
        tracking = await self._ask(self._carrier.dispatch, shipment, shipment)
        return _tracking(tracking, shipment)

    async def lookup(self, shipment: Shipment) -> str | None:
        """Return the tracking number if the package was taken and not recalled, else None."""
        tracking = await self._ask(self._carrier.lookup, shipment.key, shipment)
        return None if tracking is None else _tracking(tracking, shipment)

    async def recall(self, shipment: Shipment) -> bool:
        """Call the package back, or close the key."""
        recalled: object = await self._ask(self._carrier.recall, shipment, shipment)
        if not isinstance(recalled, bool):
            raise GatewayUnknownError("the carrier does not say whether it called a package back")
        return recalled

    async def _ask(self, call: Callable[[A], Awaitable[T]], argument: A, shipment: Shipment) -> T:
        return await _bounded(call, argument, "the carrier", shipment.private)


async def _bounded(
    call: Callable[[A], Awaitable[T]], argument: A, who: str, private: tuple[str, ...] = ()
) -> T:
    try:
        return await call(argument)
    except TimeoutError:
        raise TimeoutError(f"{who} gave no answer") from None
    except Exception as error:  # noqa: BLE001 (an own gateway may raise anything)
        _raise_told(error, private)


def _raise_told(error: Exception, private: tuple[str, ...]) -> NoReturn:
    """Raise an error that says the same within bounds. It keeps the traceback, not the cause."""
    said = redact(_said(error), _REASON_BYTES, private) or type(error).__name__
    bounded: Exception
    match error:
        case GatewayRefusedError():
            bounded = GatewayRefusedError(said)
        case GatewayUnavailableError():
            bounded = GatewayUnavailableError(said, retry_after=error.retry_after)
        case GatewayUnknownError():
            bounded = GatewayUnknownError(said)
        # The simulated gateways keep their ledger in Postgres.
        case _ if isinstance(error, UNAVAILABLE):
            bounded = GatewayUnavailableError(said)
        case _:
            bounded = GatewayUnknownError(
                sanitize(f"{type(error).__name__}: {said}", _REASON_BYTES)
            )
    raise bounded.with_traceback(error.__traceback__) from None


def _said(error: Exception) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 (its `__str__` is a stranger's too)
        return ""


def _status(found: object) -> ChargeStatus:
    try:
        return ChargeStatus(str(found))
    except ValueError:
        raise GatewayUnknownError("the payment gateway tells no status") from None


def _tracking(found: object, shipment: Shipment) -> str:
    tracking = sanitize(found, _TRACKING_BYTES) if isinstance(found, str) else ""
    if not tracking:
        raise GatewayUnknownError("the carrier tells no tracking number")
    # A number may well have a region's or a country's code in it.
    telling = [part for part in shipment.private if len(part) > _CODE_LENGTH]
    plain = redact(tracking, _TRACKING_BYTES, telling)
    return plain if MASK in plain else tracking
