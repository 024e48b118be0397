"""Marks the spans of failed attempts of activities with the type of the failure."""

import asyncio
from contextvars import ContextVar
from typing import Any, Final

from opentelemetry.semconv.attributes.error_attributes import ERROR_TYPE
from opentelemetry.trace import (
    INVALID_SPAN_CONTEXT,
    Span,
    SpanContext,
    Status,
    StatusCode,
    get_current_span,
)
from temporalio import activity, client, worker
from temporalio.exceptions import ApplicationError
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput

# The SDK logs a failure after the attempt's span has ended; this outlasts the span.
FAILED_SPAN: Final = ContextVar[SpanContext]("orderfleet.failed", default=INVALID_SPAN_CONTEXT)


# An interceptor of both kinds on a client is also the outermost one of its worker.
class FailedAttempts(client.Interceptor, worker.Interceptor):
    """Marks the current span of an attempt that fails."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002
        """Wrap an activity."""
        return _FailedAttempt(next)


class _FailedAttempt(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002
        span = get_current_span()
        try:
            return await super().execute_activity(input)
        except asyncio.CancelledError:
            # The plugin marks no cancelled span; a time-out or a worker's shutdown is a failure.
            if error_type := _interruption():
                _mark(span, error_type)
            FAILED_SPAN.set(span.get_span_context())
            raise
        except Exception as error:
            failure_type = error.type if isinstance(error, ApplicationError) else None
            _mark(span, failure_type or type(error).__qualname__)
            FAILED_SPAN.set(span.get_span_context())
            raise


def _mark(span: Span, error_type: str) -> None:
    span.set_status(Status(StatusCode.ERROR))
    span.set_attribute(ERROR_TYPE, error_type)


def _interruption() -> str:
    """Return why Temporal ended the attempt, or nothing if the workflow cancelled it."""
    details = activity.cancellation_details()
    if details is None:
        return ""
    # The server answers the heartbeat of an attempt that timed out with `not found`.
    if details.timed_out or details.not_found:
        return "timed_out"
    return "worker_shutdown" if details.worker_shutdown else ""
