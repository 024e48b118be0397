"""Traces, as a service's `main` sees them; OpenTelemetry is imported only if spans go somewhere.

Its SDK and an exporter cost a process 0.3 s at start and 20 MB, so the modules that import it
(`spans`, `statements`, `attempts`) are loaded by name, once it is known that they are wanted.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import import_module

from temporalio.client import Plugin

from orderfleet.settings import ServiceSettings
from orderfleet.store.pool import Watcher


@dataclass(frozen=True)
class Traces:
    """What makes spans, to hand to those that connect; without traces it is what they would use."""

    on: bool = False
    plugins: tuple[Plugin, ...] = ()
    """For the client of Temporal, and so for its worker."""
    watchers: tuple[Watcher, ...] = ()
    """For the pool."""


@asynccontextmanager
async def configure_traces(settings: ServiceSettings, *, service: str) -> AsyncIterator[Traces]:
    """Send the spans of this process to the collector that the settings name, if they name one.

    At the end what is left is sent, as far as the collector takes it at once.

    Args:
        settings: where the spans go, and how.
        service: the service's name unless OTEL_SERVICE_NAME or OTEL_RESOURCE_ATTRIBUTES has one.
    """
    if not settings.spans_by:
        yield Traces()
        return
    spans = import_module("orderfleet.observability.otel.provider")
    async with spans.exported(settings.spans_by, service):
        yield Traces(
            on=True,
            plugins=spans.plugins(),
            watchers=(
                import_module("orderfleet.observability.otel.statement_spans").trace_statement,
            ),
        )
