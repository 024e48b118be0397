"""Selects the gateways that a worker calls: add a new provider here (docs/gateways.md)."""

from collections.abc import Callable
from typing import TypeAlias

from orderfleet.gateways.credentials import GatewayCredentials
from orderfleet.gateways.http import HTTPCarrier, HTTPPaymentGateway
from orderfleet.gateways.protocols import Carrier, PaymentGateway
from orderfleet.gateways.simulated import Faults, SimulatedCarrier, SimulatedPaymentGateway
from orderfleet.store.pool import Pool
from orderfleet.watched_files import WatchedFiles

Watch: TypeAlias = Callable[[WatchedFiles[GatewayCredentials] | None], None]


def _ignore(_: object) -> None:
    """Watch nothing."""


def make_payment_gateway(
    url: str, pool: Pool, faults: Faults = (), credentials: str = "", watch: Watch = _ignore
) -> PaymentGateway:
    """Return the payment gateway at the URL; without a URL the simulated one, with its faults.

    `watch` gets the files of its credentials.
    """
    if not url:
        return SimulatedPaymentGateway(pool, faults)
    gateway = HTTPPaymentGateway(url, credentials)
    watch(gateway.files)
    return gateway


def make_carrier(
    url: str, pool: Pool, faults: Faults = (), credentials: str = "", watch: Watch = _ignore
) -> Carrier:
    """Return the carrier at the URL; without a URL the simulated one, with its faults.

    `watch` gets the files of its credentials.
    """
    if not url:
        return SimulatedCarrier(pool, faults)
    carrier = HTTPCarrier(url, credentials)
    watch(carrier.files)
    return carrier
