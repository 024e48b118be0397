"""What all three services have around their work: a pool, and metrics and spans of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from orderfleet.observability.database import DatabaseMetrics
from orderfleet.observability.metrics import make_registry, render
from orderfleet.observability.sdk_metrics import CoreMetrics
from orderfleet.observability.tracing import Traces, configure_traces
from orderfleet.runtime.process import Lifecycle
from orderfleet.settings import ServiceSettings
from orderfleet.store.pool import Pool, open_pool


@dataclass(frozen=True)
class Resources:
    """A process's pool, and what watches the process."""

    pool: Pool
    registry: CollectorRegistry
    traces: Traces
    core: CoreMetrics

    def metrics(self) -> bytes:
        """Return what `/metrics` answers."""
        return render(self.registry, self.core)


@asynccontextmanager
async def open_resources(
    settings: ServiceSettings, lifecycle: Lifecycle, *, program: str, lazy: bool = False
) -> AsyncIterator[Resources]:
    """Open the pool, and watch it and the process, until the block ends.

    Args:
        settings: the service's.
        lifecycle: what its metrics say of draining.
        program: its distribution's name, which its spans have too.
        lazy: not to wait for Postgres, but to connect at the first statement.
    """
    core = CoreMetrics()
    registry = make_registry(
        program,
        draining_seconds=lambda: lifecycle.draining_seconds,
        drain_seconds=settings.drain_seconds,
    )
    database = DatabaseMetrics(registry)
    async with (
        configure_traces(settings, service=program) as traces,
        open_pool(
            settings.database_url,
            size=settings.database_pool_size,
            wait_seconds=0 if lazy else settings.start_wait_seconds,
            lazy=lazy,
            watchers=(database.statement, *traces.watchers),
            on_connect=database.connect,
        ) as pool,
    ):
        database.watch(pool)
        yield Resources(pool, registry, traces, core)
