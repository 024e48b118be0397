"""Metrics of admission: orders accepted and refused by tenant, the limit and its sources."""

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge

from orderfleet_api.admission.limiter import Limiter
from orderfleet_api.admission.waiting import WaitingOrders

# The tenant of an order placed without an API key; no key can have this name.
NO_TENANT: Final = "(none)"


class Reason(StrEnum):
    """Why an order is refused."""

    BUSY = "busy"
    SHARE = "share"
    RATE = "rate"
    AWAY = "away"


class TenantTotals(NamedTuple):
    """New orders of a tenant; those refused by reason."""

    accepted: int
    refused: dict[str, int]


class AdmissionMetrics:
    """The counters, which begin at 0 for every tenant, and the gauges."""

    def __init__(
        self,
        registry: CollectorRegistry,
        keys: Iterable[str],
        *,
        on: bool,
        limiter: Limiter,
        orders: WaitingOrders,
    ) -> None:
        self._accepted = Counter(
            "orderfleet_orders_accepted_total",
            "Orders newly accepted; a repeat is none.",
            ["tenant"],
            registry=registry,
        )
        self._refused = Counter(
            "orderfleet_orders_refused_total",
            "New orders refused: the fleet is busy or away, or the tenant has its share or rate.",
            ["reason", "tenant"],
            registry=registry,
        )
        for tenant in list(keys) or [NO_TENANT]:
            self._accepted.labels(tenant)
            for reason in Reason:
                self._refused.labels(reason.value, tenant)
        gauges = {
            "on": ("1 if orders that cannot end in time are refused, else 0.", lambda: float(on)),
            "limit": ("Most orders of this pod that may wait.", lambda: limiter.limit),
            "waiting": (
                "Orders of this pod that wait for a task, the charge, the package or dispatch.",
                lambda: float(orders.count),
            ),
            "pending_limit": (
                "Most orders of this pod that may wait or be in a review.",
                lambda: limiter.pending_limit,
            ),
            "flood_limit": (
                "Most orders of this pod that may wait or be in a review while a tenant floods.",
                lambda: limiter.flood_limit,
            ),
            "pending": (
                "Orders of this pod that wait or are in a review.",
                lambda: float(orders.pending),
            ),
            "standing_wait_seconds": (
                "The wait before the steps of an order that almost no order was spared lately.",
                lambda: limiter.standing_wait,
            ),
            "throughput": (
                "Orders of this pod a second that wait no longer.",
                lambda: limiter.throughput,
            ),
        }
        for name, (meaning, read) in gauges.items():
            gauge = Gauge(f"orderfleet_admission_{name}", meaning, registry=registry)
            gauge.set_function(read)

    def accepted(self, tenant: str) -> None:
        """Count a new order."""
        self._accepted.labels(tenant).inc()

    def refused(self, reason: Reason, tenant: str) -> None:
        """Count an order that was refused."""
        self._refused.labels(reason.value, tenant).inc()

    def totals(self) -> dict[str, TenantTotals]:
        """Return what was counted so far, by tenant."""
        totals: dict[str, TenantTotals] = {}
        for labels, value in _samples(self._accepted):
            totals[labels["tenant"]] = TenantTotals(int(value), {})
        for labels, value in _samples(self._refused):
            of_tenant = totals.setdefault(labels["tenant"], TenantTotals(0, {}))
            of_tenant.refused[labels["reason"]] = int(value)
        return totals


def _samples(counter: Counter) -> Iterator[tuple[dict[str, str], float]]:
    """Yield labels and values, without the times of creation."""
    for metric in counter.collect():
        for sample in metric.samples:
            if sample.name.endswith("_total"):
                yield sample.labels, sample.value
