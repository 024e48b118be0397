"""Traces for a service's `main`; OpenTelemetry is imported only where spans are exported.

Its SDK and an exporter cost a process 0.3 s at start and 20 MB, so the modules of `otel/` are
imported inside functions.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from temporalio.plugin import SimplePlugin

from orderfleet.settings import ServiceSettings
from orderfleet.store.pool import StatementObserver


@dataclass(frozen=True)
class Traces:
    """What creates spans, for the client of Temporal and for the pool; empty without traces."""

    on: bool = False
    plugins: tuple[SimplePlugin, ...] = ()
    """For OrderfleetPlugin, which the client of Temporal and its worker have."""
    statement_observers: tuple[StatementObserver, ...] = ()
    """For the pool."""


@asynccontextmanager
async def configure_traces(settings: ServiceSettings, *, service: str) -> AsyncIterator[Traces]:
    """Export the spans of this process if the settings name a collector; flush them at the end.

    Args:
        settings: where the spans go, and by which protocol.
        service: the service's name unless OTEL_SERVICE_NAME or OTEL_RESOURCE_ATTRIBUTES has one.
    """
    if not settings.trace_protocol:
        yield Traces()
        return
    # They import OpenTelemetry.
    from orderfleet.observability.otel.provider import exported, plugins  # noqa: PLC0415
    from orderfleet.observability.otel.statement_spans import trace_statement  # noqa: PLC0415

    async with exported(settings.trace_protocol, service):
        yield Traces(on=True, plugins=plugins(), statement_observers=(trace_statement,))
