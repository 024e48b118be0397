"""Failed attempts of activities, on their spans: what kind of failure it was."""

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

# The SDK logs a failure when the attempt's span is over; what is set here outlasts it.
FAILED: Final = ContextVar[SpanContext]("orderfleet.failed", default=INVALID_SPAN_CONTEXT)


# A client's interceptors are its worker's outermost ones, if they are both.
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
            # The plugin takes it for no failure; out of time or of its worker it is one.
            if kind := _given_up():
                _mark(span, kind)
            FAILED.set(span.get_span_context())
            raise
        except Exception as error:
            told = error.type if isinstance(error, ApplicationError) else None
            _mark(span, told or type(error).__qualname__)
            FAILED.set(span.get_span_context())
            raise


def _mark(span: Span, kind: str) -> None:
    span.set_status(Status(StatusCode.ERROR))
    span.set_attribute(ERROR_TYPE, kind)


def _given_up() -> str:
    """Return why Temporal ended the attempt, or nothing if the workflow asked for it."""
    details = activity.cancellation_details()
    if details is None:
        return ""
    # The server's answer to the beat of an attempt that it has given up is that it knows none.
    if details.timed_out or details.not_found:
        return "timed_out"
    return "worker_shutdown" if details.worker_shutdown else ""
