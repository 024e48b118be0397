"""Which gateways a worker speaks to: a new provider is added here."""

from orderfleet.gateways.http import HTTPCarrier, HTTPPaymentGateway
from orderfleet.gateways.protocols import Carrier, PaymentGateway
from orderfleet.gateways.simulated import Faults, SimulatedCarrier, SimulatedPaymentGateway
from orderfleet.store.pool import Pool


def make_payment_gateway(url: str, pool: Pool, faults: Faults = ()) -> PaymentGateway:
    """Return the payment gateway at a URL; without one a simulated gateway, with its faults."""
    return HTTPPaymentGateway(url) if url else SimulatedPaymentGateway(pool, faults)


def make_carrier(url: str, pool: Pool, faults: Faults = ()) -> Carrier:
    """Return the carrier at a URL; without one a simulated carrier, with its faults."""
    return HTTPCarrier(url) if url else SimulatedCarrier(pool, faults)
