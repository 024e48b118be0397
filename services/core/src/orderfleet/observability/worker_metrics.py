"""Metrics that both workers have: orders that ended, slots, attempts of steps."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from orderfleet.domain.orders import OrderState
from orderfleet.observability.step_metrics import StepMetrics
from orderfleet.settings import WorkerSettings
from orderfleet.store.transitions import Transition

ENDS: Final = tuple(state for state in OrderState if state.ended)

# An order has 15 s; its forward work has 12 s of them.
_ORDER_BUCKETS: Final = (1, 2, 3, 4, 5, 6, 8, 10, 12, 13, 14, 15, 20, 30)


class WorkerMetrics:
    """Counters and gauges of one worker."""

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
            buckets=_ORDER_BUCKETS,
            registry=registry,
        )
        self._saved = Counter(
            "orderfleet_orders_saved_by_retries_total",
            "Fulfilled orders of which an attempt had failed: without retries they would fail.",
            registry=registry,
        )
        self._slots = Gauge(
            "orderfleet_worker_slots",
            "Tasks of a type that may run at once.",
            ["type"],
            registry=registry,
        )
        # Create the series at 0: `increase()` misses the first increment of a new series.
        for state in ENDS:
            self._ended.labels(state)
            self._duration.labels(state)
        self.steps = StepMetrics(registry)

    def order_ended(self, transition: Transition | None, *, retried: bool = False) -> None:
        """Count the order if this transition ended it; a repeated transition does not count.

        Args:
            transition: what the statement did.
            retried: whether an attempt of the order had failed before.
        """
        if transition is not None and transition.moved and transition.state.ended:
            self._ended.labels(transition.state).inc()
            self._duration.labels(transition.state).observe(transition.age)
            if retried and transition.state is OrderState.FULFILLED:
                self._saved.inc()

    def set_slots(self, settings: WorkerSettings) -> None:
        """Set how many tasks may run at once."""
        self._slots.labels("workflow").set(settings.workflow_slots)
        self._slots.labels("activity").set(settings.activity_slots)
