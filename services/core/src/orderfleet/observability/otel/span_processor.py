"""What every span of the fleet carries, and what none may: on its way to the exporter."""

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
# How Temporal's plugin names its own.
_WORKFLOW_ID: Final = "temporalWorkflowID"
_EXCEPTION_TYPE: Final = "exception.type"
_PROPAGATOR: Final = TraceContextTextMapPropagator()


class OrderSpans(SpanProcessor):
    """Names the order on every span, and keeps out of it what an exception says.

    An exception's message may quote whatever it failed on: a statement's values, a carrier's
    answer with the address in it. Its type goes out, as `error.type`; what it says is in the log
    and in Temporal.
    """

    def __init__(self, following: SpanProcessor) -> None:
        self._following = following

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Add order, task queue and attempt, from wherever the span was started."""
        if activity.in_activity():
            info = activity.info()
            span.set_attribute(TASK_QUEUE, info.task_queue)
            span.set_attribute(ATTEMPT, attempt_of(info))
            workflow_id: object = info.workflow_id
        elif workflow.in_workflow():
            about = workflow.info()
            span.set_attribute(TASK_QUEUE, about.task_queue)
            workflow_id = about.workflow_id
            if span.kind is SpanKind.SERVER:
                _link(span, about)
        else:
            workflow_id = (span.attributes or {}).get(_WORKFLOW_ID)
        if isinstance(workflow_id, str):
            span.set_attribute(ORDER_ID, order_of(workflow_id))
        self._following.on_start(span, parent_context)

    def on_end(self, span: ReadableSpan) -> None:
        """Hand the span on without the words of its exceptions."""
        self._following.on_end(_wordless(span))

    def shutdown(self) -> None:
        """Send what is left."""
        self._following.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Send what there is."""
        return self._following.force_flush(timeout_millis)


def _link(span: Span, about: workflow.Info) -> None:
    """Link what another request asks of a workflow to the trace in which the workflow was started.

    That trace is in the headers of the start: known to the first handler already, which may run
    before the workflow itself, and the same at every replay.
    """
    carrier = carrier_of(about.headers)
    if carrier is None:
        return
    started = _PROPAGATOR.extract(carrier, Context())
    context: SpanContext = get_current_span(started).get_span_context()
    if context.is_valid and context.trace_id != span.get_span_context().trace_id:
        span.add_link(context)


def _wordless(span: ReadableSpan) -> ReadableSpan:
    kinds = [(event.attributes or {}).get(_EXCEPTION_TYPE) for event in span.events]
    if not any(kinds) and not span.status.description:
        return span
    attributes = dict(span.attributes or {})
    for kind in filter(None, kinds):
        attributes.setdefault(ERROR_TYPE, str(kind))
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=attributes,
        events=[event for event, kind in zip(span.events, kinds, strict=True) if not kind],
        links=span.links,
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )
