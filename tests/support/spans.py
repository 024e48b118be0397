"""Spans of the test's own process, kept in memory."""

from functools import cache

from opentelemetry import trace
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from temporalio.contrib.opentelemetry import create_tracer_provider

from orderfleet.observability.otel.span_processor import OrderSpanProcessor


@cache
def exported() -> InMemorySpanExporter:
    """Return the exporter; OpenTelemetry accepts one provider per process."""
    exporter = InMemorySpanExporter()
    provider = create_tracer_provider(shutdown_on_exit=False)
    provider.add_span_processor(OrderSpanProcessor(SimpleSpanProcessor(exporter)))
    trace.set_tracer_provider(provider)
    return exporter
