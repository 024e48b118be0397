"""Spans by OpenTelemetry: the global tracer provider, its exporter and Temporal's plugins.

Everything that OpenTelemetry's own OTEL_* variables say (endpoint, headers, sampler, limits, size
of the queue) is read by its SDK.
"""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib import import_module
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

from orderfleet.observability.otel.failed_attempts import FAILED, FailedAttempts
from orderfleet.observability.otel.span_processor import OrderSpans
from orderfleet.observability.otel.trace_headers import ReadableTraces

# One of the two is imported: gRPC alone is a tenth of a second.
_EXPORTERS: Final = {
    "grpc": "opentelemetry.exporter.otlp.proto.grpc.trace_exporter",
    "http/protobuf": "opentelemetry.exporter.otlp.proto.http.trace_exporter",
}
# A collector that is away must not hold up the end of the process.
FLUSH_SECONDS: Final = 2.0


@asynccontextmanager
async def exported(protocol: str, service: str) -> AsyncIterator[None]:
    """Export the spans of this process until the block ends."""
    exporter: SpanExporter = import_module(_EXPORTERS[protocol]).OTLPSpanExporter()
    # Bounded: 2,048 spans unless OTEL_BSP_MAX_QUEUE_SIZE says otherwise; more are dropped.
    processor = OrderSpans(BatchSpanProcessor(exporter))
    provider = create_tracer_provider(resource=resource(service), shutdown_on_exit=False)
    provider.add_span_processor(processor)
    trace.set_tracer_provider(provider)
    try:
        yield
    finally:
        await _within(FLUSH_SECONDS, provider.shutdown)


def plugins() -> tuple[SimplePlugin, ...]:
    """Return the plugins of a client that make spans of its calls and of its worker's work."""
    return (
        SimplePlugin("orderfleet.trace-headers", interceptors=[ReadableTraces()]),
        OpenTelemetryPlugin(add_temporal_spans=True),
        # After it and so inside: the attempt's span is the current one there.
        SimplePlugin("orderfleet.temporal.attempts", interceptors=[FailedAttempts()]),
    )


def resource(service: str) -> Resource:
    """Return what the spans say of this process; the environment has the last word."""
    own = Resource(
        {
            SERVICE_NAME: service,
            SERVICE_NAMESPACE: "orderfleet",
            SERVICE_VERSION: version("orderfleet"),
        }
    )
    return Resource.create(own.merge(OTELResourceDetector().detect()).attributes)


def add_trace(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Add to a line of the log the span within which it was written."""
    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        context = FAILED.get()
    if context.is_valid:
        event["trace_id"] = trace.format_trace_id(context.trace_id)
        event["span_id"] = trace.format_span_id(context.span_id)
    return event


async def _within(seconds: float, call: Any) -> None:
    """Run a call that may block, but wait only so long.

    Not by asyncio's own threads: the event loop waits for those at its end, however long.
    """
    loop = asyncio.get_running_loop()
    done = asyncio.Event()

    def run() -> None:
        call()
        # The loop is gone if nobody waits any more.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(done.set)

    threading.Thread(target=run, daemon=True).start()
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await done.wait()
