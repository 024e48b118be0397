"""Spans by OpenTelemetry: the global tracer provider, its exporter and Temporal's plugins.

OpenTelemetry's SDK reads its own OTEL_* variables: endpoint, headers, sampler, limits, queue size.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from importlib.metadata import version
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.sdk.resources import (
    SERVICE_NAME,
    SERVICE_NAMESPACE,
    SERVICE_VERSION,
    OTELResourceDetector,
    Resource,
)
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from structlog.typing import EventDict
from temporalio.contrib.opentelemetry import OpenTelemetryPlugin, create_tracer_provider
from temporalio.plugin import SimplePlugin

from orderfleet.observability.otel.failed_attempts import FAILED_SPAN, FailedAttempts
from orderfleet.observability.otel.span_processor import OrderSpanProcessor
from orderfleet.observability.otel.trace_headers import TraceHeaderFilter

# An unreachable collector must not delay the end of the process.
FLUSH_SECONDS: Final = 2.0


@asynccontextmanager
async def exported(protocol: str, service: str) -> AsyncIterator[None]:
    """Export the spans of this process until the block ends."""
    # Its queue takes 2,048 spans (OTEL_BSP_MAX_QUEUE_SIZE) and drops more.
    processor = OrderSpanProcessor(BatchSpanProcessor(_exporter(protocol)))
    provider = create_tracer_provider(resource=resource(service), shutdown_on_exit=False)
    provider.add_span_processor(processor)
    trace.set_tracer_provider(provider)
    try:
        yield
    finally:
        await _run_in_thread(provider.shutdown, FLUSH_SECONDS)


def _exporter(protocol: str) -> SpanExporter:
    # One of the two only: the import of gRPC alone takes 0.1 s.
    if protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc import trace_exporter as grpc  # noqa: PLC0415

        return grpc.OTLPSpanExporter()
    from opentelemetry.exporter.otlp.proto.http import trace_exporter as http  # noqa: PLC0415

    return http.OTLPSpanExporter()


def plugins() -> tuple[SimplePlugin, ...]:
    """Return a client's plugins that create spans of its calls and of its worker's work."""
    return (
        SimplePlugin("orderfleet.trace-headers", interceptors=[TraceHeaderFilter()]),
        OpenTelemetryPlugin(add_temporal_spans=True),
        # After OpenTelemetry's and so inside it, where the attempt's span is current.
        SimplePlugin("orderfleet.temporal.attempts", interceptors=[FailedAttempts()]),
    )


def resource(service: str) -> Resource:
    """Return the attributes of this process; OpenTelemetry's variables override them."""
    own = Resource(
        {
            SERVICE_NAME: service,
            SERVICE_NAMESPACE: "orderfleet",
            SERVICE_VERSION: version("orderfleet"),
        }
    )
    return Resource.create(own.merge(OTELResourceDetector().detect()).attributes)


def add_trace(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Add the current span, or the span of the attempt that just failed, to a log line."""
    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        context = FAILED_SPAN.get()
    if context.is_valid:
        event["trace_id"] = trace.format_trace_id(context.trace_id)
        event["span_id"] = trace.format_span_id(context.span_id)
    return event


async def _run_in_thread(call: Callable[[], None], seconds: float) -> None:
    """Run a blocking call, but wait for it no longer than `seconds`.

    Not in asyncio's own threads: at its end the event loop waits for those without a limit.
    """
    loop = asyncio.get_running_loop()
    done = asyncio.Event()

    def run() -> None:
        call()
        # The loop is closed if the wait timed out.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(done.set)

    threading.Thread(target=run, daemon=True).start()
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await done.wait()
