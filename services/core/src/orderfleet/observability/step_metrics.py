"""Counts every attempt of every activity of a worker.

Activities only: a workflow's code runs again when it is replayed, and would count again.
"""

import asyncio
from time import perf_counter
from typing import Any

from temporalio import activity
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from orderfleet.observability.metrics import StepMetrics
from orderfleet.temporal.attempts import attempt_of, step_left


class StepsInterceptor(Interceptor):
    """The outermost one, so that injected faults and what wraps an error count too."""

    def __init__(self, metrics: StepMetrics) -> None:
        self._metrics = metrics

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002
        """Wrap an activity."""
        return _Steps(next, self._metrics)


class _Steps(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, metrics: StepMetrics) -> None:  # noqa: A002
        super().__init__(next)
        self._metrics = metrics

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002
        info = activity.info()
        self._metrics.began(info.activity_type, _left(info))
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
            self._metrics.ended(info.activity_type, outcome, perf_counter() - began)


def _left(info: activity.Info) -> float | None:
    """Return what a step with a deadline has left at its first attempt."""
    left = step_left(info) if attempt_of(info) == 1 else None
    return None if left is None else left.total_seconds()
