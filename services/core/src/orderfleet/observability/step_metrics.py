"""Metrics of every attempt of every activity of a worker.

Activities only: a replay runs a workflow's code again, which would count again.
"""

import asyncio
from time import perf_counter
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Histogram
from temporalio import activity
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from orderfleet.temporal.attempts import attempt_of, step_left

_OUTCOMES: Final = ("completed", "failed", "cancelled")


class StepMetrics:
    """Attempts, their durations, and the time that a step had left when it began."""

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
        self._steps: set[str] = set()

    def attempt_began(self, step: str, left: float | None) -> None:
        """Record the start of an attempt, and the time that the step has left unless it is None."""
        if step not in self._steps:
            self._steps.add(step)
            for outcome in _OUTCOMES:
                # Create the series at 0: `increase()` misses the first increment of a new series.
                self._attempts.labels(step, outcome)
        if left is not None:
            self._left.labels(step).observe(left)

    def attempt_ended(self, step: str, outcome: str, seconds: float) -> None:
        """Record the end of an attempt."""
        self._attempts.labels(step, outcome).inc()
        self._duration.labels(step).observe(seconds)


class StepMetricsInterceptor(Interceptor):
    """The outermost interceptor, so that injected faults and translated errors count too."""

    def __init__(self, metrics: StepMetrics) -> None:
        self._metrics = metrics

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002
        """Wrap an activity."""
        return _MeasuredActivity(next, self._metrics)


class _MeasuredActivity(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, metrics: StepMetrics) -> None:  # noqa: A002
        super().__init__(next)
        self._metrics = metrics

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002
        info = activity.info()
        self._metrics.attempt_began(info.activity_type, _left(info))
        began = perf_counter()
        outcome = "failed"
        try:
            result = await super().execute_activity(input)
            outcome = "completed"
            return result
        except asyncio.CancelledError:
            outcome = "cancelled"
            raise
        finally:
            self._metrics.attempt_ended(info.activity_type, outcome, perf_counter() - began)


def _left(info: activity.Info) -> float | None:
    """Return the time that a step with a deadline has left at its first attempt."""
    left = step_left(info) if attempt_of(info) == 1 else None
    return None if left is None else left.total_seconds()
