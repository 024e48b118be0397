"""Selects the gateways that a worker calls: add a new provider here (docs/gateways.md)."""

from orderfleet.gateways.http import HTTPCarrier, HTTPPaymentGateway
from orderfleet.gateways.protocols import Carrier, PaymentGateway
from orderfleet.gateways.simulated import Faults, SimulatedCarrier, SimulatedPaymentGateway
from orderfleet.store.pool import Pool


def make_payment_gateway(
    url: str, pool: Pool, faults: Faults = (), credentials: str = ""
) -> PaymentGateway:
    """Return the payment gateway at the URL; without a URL the simulated one, with its faults."""
    return HTTPPaymentGateway(url, credentials) if url else SimulatedPaymentGateway(pool, faults)


def make_carrier(url: str, pool: Pool, faults: Faults = (), credentials: str = "") -> Carrier:
    """Return the carrier at the URL; without a URL the simulated one, with its faults."""
    return HTTPCarrier(url, credentials) if url else SimulatedCarrier(pool, faults)
