"""Metrics by prometheus-client that every process has: build, drain, memory, CPU, collector.

A service's `serve` creates the registry and passes it on; no import registers anything.
`docs/metrics.md` lists every metric.
"""

from collections.abc import Callable
from importlib.metadata import version

from prometheus_client import (
    CollectorRegistry,
    Gauge,
    GCCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from orderfleet.observability.sdk_metrics import SdkMetrics


def make_registry(
    distribution: str, *, draining_seconds: Callable[[], float | None], drain_seconds: float
) -> CollectorRegistry:
    """Return a registry with the metrics of every process.

    Args:
        distribution: the name of the process's package.
        draining_seconds: the time since the request to shut down; None before it.
        drain_seconds: how long draining may take.
    """
    # Without this every counter has a second metric, the time of its creation.
    disable_created_metrics()  # type: ignore[no-untyped-call]
    registry = CollectorRegistry()
    build = Gauge(
        "orderfleet_build_info",
        "Always 1: which service this is, and its version.",
        ["service", "version"],
        registry=registry,
    )
    build.labels(distribution.removeprefix("orderfleet-"), version(distribution)).set(1)
    draining = Gauge("orderfleet_draining", "1 from SIGTERM on, else 0.", registry=registry)
    draining.set_function(lambda: float(draining_seconds() is not None))
    since = Gauge(
        "orderfleet_draining_seconds",
        "How long it has been draining, 0 before.",
        registry=registry,
    )
    since.set_function(lambda: draining_seconds() or 0.0)
    limit = Gauge(
        "orderfleet_drain_limit_seconds",
        "How long what runs may go on after SIGTERM.",
        registry=registry,
    )
    limit.set(drain_seconds)
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


def render(registry: CollectorRegistry, sdk: SdkMetrics) -> bytes:
    """Return the response of `/metrics`; without the SDK's part if the SDK does not respond."""
    return sdk.read() + generate_latest(registry)
