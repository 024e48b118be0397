"""Metrics by prometheus-client: what every process tells of itself, and what both workers count.

The registry is made in `serve` and handed on; nothing is registered by an import. Every metric
stands in `docs/metrics.md`.
"""

from collections.abc import Callable
from importlib.metadata import version
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from orderfleet.domain.orders import OrderState
from orderfleet.observability.sdk_metrics import CoreMetrics
from orderfleet.settings import WorkerSettings
from orderfleet.store.transitions import Transition

ENDS: Final = tuple(state for state in OrderState if state.ended)

# 15 s is what an order has, 12 s what its forward work has.
ORDER_EDGES: Final = (1, 2, 3, 4, 5, 6, 8, 10, 12, 13, 14, 15, 20, 30)


def make_registry(
    distribution: str, *, draining_seconds: Callable[[], float | None], drain_seconds: float
) -> CollectorRegistry:
    """Return a registry with what every process tells: build, drain, memory, CPU, collector.

    Args:
        distribution: the name of the process's package.
        draining_seconds: how long ago it was asked to stop; None if it was not.
        drain_seconds: how long it may take to.
    """
    # Else every counter comes with a second metric, the time at which it was made.
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


def render(registry: CollectorRegistry, core: CoreMetrics) -> bytes:
    """Return what `/metrics` answers; without the core's part if the core does not answer."""
    return core.read() + generate_latest(registry)


class WorkerMetrics:
    """What both workers count."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._ended = Counter(
            "orderfleet_orders_ended_total",
            "Orders that this worker ended, each once.",
            ["state"],
            registry=registry,
        )
        self._duration = Histogram(
            "orderfleet_order_duration_seconds",
            "Their time from acceptance to end, by Postgres' clock.",
            ["state"],
            buckets=ORDER_EDGES,
            registry=registry,
        )
        self._slots = Gauge(
            "orderfleet_worker_slots",
            "Tasks of a type that may run at once.",
            ["type"],
            registry=registry,
        )
        # A rate does not see a counter's step from absent to 1.
        for state in ENDS:
            self._ended.labels(state)
            self._duration.labels(state)
        self.steps = StepMetrics(registry)

    def order_ended(self, moved: Transition | None) -> None:
        """Count an order if this statement ended it; a repeat of one that did counts nothing."""
        if moved is not None and moved.moved and moved.state.ended:
            self._ended.labels(moved.state).inc()
            self._duration.labels(moved.state).observe(moved.age)

    def set_slots(self, settings: WorkerSettings) -> None:
        """Tell how many tasks may run at once."""
        self._slots.labels("workflow").set(settings.workflow_slots)
        self._slots.labels("activity").set(settings.activity_slots)


OUTCOMES: Final = ("completed", "failed", "cancelled")


class StepMetrics:
    """What is counted of every attempt of an activity."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._attempts = Counter(
            "orderfleet_step_attempts_total",
            "Attempts of activities: completed, failed or cancelled.",
            ["step", "outcome"],
            registry=registry,
        )
        self._duration = Histogram(
            "orderfleet_step_duration_seconds",
            "How long an attempt of an activity took.",
            ["step"],
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 3, 4, 5, 10, 30),
            registry=registry,
        )
        self._left = Histogram(
            "orderfleet_deadline_left_seconds",
            "Time that a step and its retries had left when its first attempt began.",
            ["step"],
            buckets=(0.5, 1, 2, 3, 4, 5, 6, 8, 10, 12, 15),
            registry=registry,
        )
        self._known: set[str] = set()

    def began(self, step: str, left: float | None) -> None:
        """Record that an attempt began, and what the step had left if that counts."""
        if step not in self._known:
            self._known.add(step)
            for outcome in OUTCOMES:
                # There from the first attempt on: a rate does not see the way from absent to 1.
                self._attempts.labels(step, outcome)
        if left is not None:
            self._left.labels(step).observe(left)

    def ended(self, step: str, outcome: str, seconds: float) -> None:
        """Record an attempt."""
        self._attempts.labels(step, outcome).inc()
        self._duration.labels(step).observe(seconds)
