"""Wrap a gateway, so that its answers and errors are short, clean and without an address.

They go into rows, logs, Temporal's histories and the status of an order. No answer and no
exception is longer than a few lines, contains a character that Postgres refuses, or repeats an
address. Activities call every gateway through these wrappers.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from typing import Final, NoReturn, TypeVar

from orderfleet.environment import MASK
from orderfleet.gateways.protocols import (
    Carrier,
    Charge,
    ChargeLister,
    ChargePage,
    ChargeStatus,
    GatewayRefusedError,
    GatewayUnavailableError,
    GatewayUnknownError,
    PaymentGateway,
    Shipment,
)
from orderfleet.gateways.redaction import REASON_BYTES, TRACKING_BYTES, redact, sanitize
from orderfleet.store.pool import UNAVAILABLE

A = TypeVar("A")
T = TypeVar("T")

_CODE_LENGTH: Final = 3


class SanitizedPaymentGateway:
    """A `PaymentGateway` whose answers and errors are sanitized."""

    def __init__(self, gateway: PaymentGateway) -> None:
        self._gateway = gateway

    async def charge(self, charge: Charge) -> bool:
        """Capture the amount; return whether the key had been captured before."""
        return await self._call(self._gateway.charge, charge) is True

    async def lookup(self, key: str) -> ChargeStatus:
        """Return the state of the key."""
        return _status(await self._call(self._gateway.lookup, key))

    async def void(self, charge: Charge) -> ChargeStatus:
        """Close the key."""
        return _status(await self._call(self._gateway.void, charge))

    async def refund(self, charge: Charge) -> ChargeStatus:
        """Refund what was captured."""
        return _status(await self._call(self._gateway.refund, charge))

    async def list_charges(self, since: datetime, after: str) -> ChargePage | None:
        """Return charges since a time; None if the gateway has no list."""
        gateway = self._gateway
        if not isinstance(gateway, ChargeLister):
            return None
        return await self._call(partial(gateway.list_charges, since), after)

    async def _call(self, call: Callable[[A], Awaitable[T]], argument: A) -> T:
        return await _sanitized(call, argument, "the payment gateway")


class SanitizedCarrier:
    """A `Carrier` whose answers and errors are sanitized; a look-up needs the address to mask."""

    def __init__(self, carrier: Carrier) -> None:
        self._carrier = carrier

    async def dispatch(self, shipment: Shipment) -> str:
        """Hand the package over."""
        tracking = await self._call(self._carrier.dispatch, shipment, shipment)
        return _tracking(tracking, shipment)

    async def lookup(self, shipment: Shipment) -> str | None:
        """Return the tracking number if the package was taken and not recalled, else None."""
        tracking = await self._call(self._carrier.lookup, shipment.key, shipment)
        return None if tracking is None else _tracking(tracking, shipment)

    async def recall(self, shipment: Shipment) -> bool:
        """Call the package back, or close the key."""
        recalled: object = await self._call(self._carrier.recall, shipment, shipment)
        if not isinstance(recalled, bool):
            raise GatewayUnknownError("the carrier returned no result of the recall")
        return recalled

    async def _call(self, call: Callable[[A], Awaitable[T]], argument: A, shipment: Shipment) -> T:
        return await _sanitized(call, argument, "the carrier", shipment.private)


async def _sanitized(
    call: Callable[[A], Awaitable[T]], argument: A, who: str, private: tuple[str, ...] = ()
) -> T:
    try:
        return await call(argument)
    except TimeoutError:
        raise TimeoutError(f"{who} gave no answer") from None
    except Exception as error:  # noqa: BLE001 (a gateway may raise anything)
        _raise_sanitized(error, private)


def _raise_sanitized(error: Exception, private: tuple[str, ...]) -> NoReturn:
    """Raise the same error with a sanitized message; keep the traceback, drop the cause."""
    message = redact(_message(error), REASON_BYTES, private) or type(error).__name__
    sanitized: Exception
    match error:
        case GatewayRefusedError():
            sanitized = GatewayRefusedError(message)
        case GatewayUnavailableError():
            sanitized = GatewayUnavailableError(message, retry_after=error.retry_after)
        case GatewayUnknownError():
            sanitized = GatewayUnknownError(message)
        # The simulated gateways keep their ledger in Postgres.
        case _ if isinstance(error, UNAVAILABLE):
            sanitized = GatewayUnavailableError(message)
        case _:
            sanitized = GatewayUnknownError(
                sanitize(f"{type(error).__name__}: {message}", REASON_BYTES)
            )
    raise sanitized.with_traceback(error.__traceback__) from None


def _message(error: Exception) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 (its `__str__` may raise anything, too)
        return ""


def _status(answer: object) -> ChargeStatus:
    try:
        return ChargeStatus(str(answer))
    except ValueError:
        raise GatewayUnknownError("the payment gateway returned no valid status") from None


def _tracking(answer: object, shipment: Shipment) -> str:
    tracking = sanitize(answer, TRACKING_BYTES) if isinstance(answer, str) else ""
    if not tracking:
        raise GatewayUnknownError("the carrier returned no tracking number")
    # A tracking number may contain the code of a region or a country.
    private = [part for part in shipment.private if len(part) > _CODE_LENGTH]
    redacted = redact(tracking, TRACKING_BYTES, private)
    return redacted if MASK in redacted else tracking
