"""Adds the order to every span and redacts exceptions, before spans reach the exporter."""

from typing import Final

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.semconv.attributes.error_attributes import ERROR_TYPE
from opentelemetry.trace import SpanContext, SpanKind, Status, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from temporalio import activity, workflow

from orderfleet.domain.contract import order_of
from orderfleet.observability.otel.trace_headers import carrier_of
from orderfleet.temporal.attempts import attempt_of

ORDER_ID: Final = "orderfleet.order.id"
TASK_QUEUE: Final = "temporal.task_queue"
ATTEMPT: Final = "temporal.attempt"
# Set by Temporal's plugin on its own spans.
_WORKFLOW_ID: Final = "temporalWorkflowID"
_EXCEPTION_TYPE: Final = "exception.type"
_PROPAGATOR: Final = TraceContextTextMapPropagator()


class OrderSpanProcessor(SpanProcessor):
    """Adds the order's id to every span, and removes the messages of exceptions.

    A message may quote whatever the call failed on: a statement's values, a carrier's answer with
    the address in it. The exception's type stays, as `error.type`; the message is in the log and in
    Temporal.
    """

    def __init__(self, next_processor: SpanProcessor) -> None:
        self._next = next_processor

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Add order, task queue and attempt, from whatever context started the span."""
        if activity.in_activity():
            info = activity.info()
            span.set_attribute(TASK_QUEUE, info.task_queue)
            span.set_attribute(ATTEMPT, attempt_of(info))
            workflow_id: object = info.workflow_id
        elif workflow.in_workflow():
            workflow_info = workflow.info()
            span.set_attribute(TASK_QUEUE, workflow_info.task_queue)
            workflow_id = workflow_info.workflow_id
            if span.kind is SpanKind.SERVER:
                _link(span, workflow_info)
        else:
            workflow_id = (span.attributes or {}).get(_WORKFLOW_ID)
        if isinstance(workflow_id, str):
            span.set_attribute(ORDER_ID, order_of(workflow_id))
        self._next.on_start(span, parent_context)

    def on_end(self, span: ReadableSpan) -> None:
        """Pass the span on without the messages of its exceptions."""
        self._next.on_end(_redact(span))

    def shutdown(self) -> None:
        """Send the remaining spans and stop."""
        self._next.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Send the remaining spans."""
        return self._next.force_flush(timeout_millis)


def _link(span: Span, info: workflow.Info) -> None:
    """Link a handler's span, in another request's trace, to the trace that started the workflow.

    The headers of the start have that trace: they are there before the first handler, which may run
    before the workflow's own function, and they are the same at every replay.
    """
    carrier = carrier_of(info.headers)
    if carrier is None:
        return
    started = _PROPAGATOR.extract(carrier, Context())
    context: SpanContext = get_current_span(started).get_span_context()
    if context.is_valid and context.trace_id != span.get_span_context().trace_id:
        span.add_link(context)


def _redact(span: ReadableSpan) -> ReadableSpan:
    types = [(event.attributes or {}).get(_EXCEPTION_TYPE) for event in span.events]
    if not any(types) and not span.status.description:
        return span
    attributes = dict(span.attributes or {})
    for exception_type in filter(None, types):
        attributes.setdefault(ERROR_TYPE, str(exception_type))
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=attributes,
        events=[event for event, type_ in zip(span.events, types, strict=True) if not type_],
        links=span.links,
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )
