"""Gateways beside Postgres, whose ledgers survive what Postgres loses."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from tests.support.gateways import Body, Carrier, PaymentGateway, Reply, serve_gateway

PAYMENT_URL: Final = "ORDERFLEET_PAYMENT_GATEWAY_URL"
CARRIER_URL: Final = "ORDERFLEET_CARRIER_URL"


class Payments(PaymentGateway):
    """Remembers which orders a key was charged for."""

    def __init__(self) -> None:
        super().__init__()
        self.orders: defaultdict[str, set[str]] = defaultdict(set)

    def charge(self, key: str, body: Body) -> Reply:
        reply = super().charge(key, body)
        if reply[0] == 200:
            self.orders[key].add(body["order_id"])
        return reply


class Packages(Carrier):
    """Remembers where a package goes."""

    def __init__(self) -> None:
        super().__init__()
        self.streets: dict[str, str] = {}

    def dispatch(self, key: str, body: Body) -> Reply:
        self.streets.setdefault(key, body["address"]["street"])
        return super().dispatch(key, body)

    def taken(self, order_id: str) -> list[str]:
        """Return the keys of the order's packages that the carrier has."""
        return [
            key
            for key, tracking in self.packages.items()
            if tracking and key.rpartition("/")[0] == order_id
        ]


@dataclass(frozen=True)
class Ledgers:
    """Both, with the settings of workers that use them."""

    payments: Payments
    packages: Packages
    env: dict[str, str]


@contextmanager
def run_ledgers() -> Iterator[Ledgers]:
    """Serve both gateways until the block ends."""
    payments, packages = Payments(), Packages()
    with serve_gateway(payments) as payments_url, serve_gateway(packages) as packages_url:
        yield Ledgers(payments, packages, {PAYMENT_URL: payments_url, CARRIER_URL: packages_url})
