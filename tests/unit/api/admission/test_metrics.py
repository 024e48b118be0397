"""The metrics of admission: every series from the start on, and the gauges' sources."""

from itertools import product

import pytest
from prometheus_client import CollectorRegistry

from orderfleet_api.admission.limiter import Limiter, Observation
from orderfleet_api.admission.metrics import AdmissionMetrics, Reason
from orderfleet_api.admission.waiting import WaitingOrders


def _series(registry: CollectorRegistry) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for metric in registry.collect()
        for sample in metric.samples
        if not sample.name.endswith("_created")
    }


@pytest.mark.parametrize(
    ("keys", "tenants"), [(["shop", "batch"], ["shop", "batch"]), ([], ["(none)"])]
)
def test_the_counters_begin_at_0(keys: list[str], tenants: list[str]) -> None:
    registry = CollectorRegistry()
    AdmissionMetrics(registry, keys, on=True, limiter=Limiter(10, 2), orders=WaitingOrders(2, 12))
    series = _series(registry)
    accepted = {("orderfleet_orders_accepted_total", tenant): 0 for tenant in tenants}
    refused = {
        ("orderfleet_orders_refused_total", *sorted((reason, tenant))): 0
        for reason, tenant in product(("busy", "share", "rate", "away"), tenants)
    }
    counters = {labels: value for labels, value in series.items() if "_orders_" in labels[0]}
    assert counters == accepted | refused


def test_an_order_is_counted_for_its_tenant() -> None:
    registry = CollectorRegistry()
    metrics = AdmissionMetrics(
        registry, ["shop", "batch"], on=True, limiter=Limiter(10, 2), orders=WaitingOrders(2, 12)
    )
    metrics.accepted("shop")
    metrics.refused(Reason.SHARE, "batch")
    counted = {labels for labels, value in _series(registry).items() if value == 1}
    assert counted == {
        ("orderfleet_orders_accepted_total", "shop"),
        ("orderfleet_orders_refused_total", "batch", "share"),
        ("orderfleet_admission_on",),
    }


@pytest.mark.parametrize("on", [True, False])
def test_the_gauges_read_the_limiter_and_the_orders(on: bool) -> None:
    registry = CollectorRegistry()
    limiter, orders = Limiter(10, 2), WaitingOrders(2, 12)
    AdmissionMetrics(registry, [], on=on, limiter=limiter, orders=orders)
    orders.add("o", "(none)", 0)
    limiter.observe(0, Observation([[], [], [], []], [[], [], [], []], left=0, waiting=1))
    limiter.observe(2, Observation([[0.5], [0.25], [], []], [[], [], [], []], left=3, waiting=1))
    gauges = {
        labels[0].removeprefix("orderfleet_admission_"): value
        for labels, value in _series(registry).items()
        if "_admission_" in labels[0]
    }
    assert gauges == {
        "on": float(on),
        "limit": limiter.limit,
        "waiting": 1,
        "pending_limit": limiter.pending_limit,
        "flood_limit": limiter.flood_limit,
        "pending": 1,
        "standing_wait_seconds": 0.75,
        "throughput": 1.5,
    }
