"""What every service opens at start: the pool, the metrics registry, the traces."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from temporalio.client import Client
from temporalio.runtime import Runtime

from orderfleet.observability.database_metrics import DatabaseMetrics
from orderfleet.observability.process_metrics import make_registry, render
from orderfleet.observability.sdk_metrics import SdkMetrics
from orderfleet.observability.tracing import Traces, configure_traces
from orderfleet.runtime.process import Lifecycle
from orderfleet.runtime.watched_credentials import WatchedCredentials
from orderfleet.settings import ServiceSettings
from orderfleet.store.password import load_password
from orderfleet.store.pool import Pool, open_pool
from orderfleet.store.pooler import check_statements
from orderfleet.temporal.client import check_admitted, connect
from orderfleet.temporal.credentials import TemporalCredentials
from orderfleet.temporal.payload_keys import PayloadKeys


@dataclass(frozen=True)
class Resources:
    """A process's pool, metrics, traces, payload keys and credentials from files."""

    pool: Pool
    registry: CollectorRegistry
    traces: Traces
    sdk_metrics: SdkMetrics
    payload_keys: PayloadKeys
    credentials: WatchedCredentials
    temporal: TemporalCredentials

    @property
    def runtime(self) -> Runtime:
        """The SDK's runtime for the process's only client, whose metrics `metrics` includes."""
        return self.sdk_metrics.runtime

    async def connect(self, settings: ServiceSettings) -> Client:
        """Connect to Temporal with the process's metrics and traces; errors as `connect`'s."""
        client = await connect(
            settings,
            runtime=self.runtime,
            telemetry=self.traces.plugins,
            keys=self.payload_keys,
            credentials=self.temporal,
        )
        await check_admitted(client)
        return client

    def metrics(self) -> bytes:
        """Return the response of `/metrics`."""
        return render(self.registry, self.sdk_metrics)


@asynccontextmanager
async def open_resources(
    settings: ServiceSettings, lifecycle: Lifecycle, *, program: str, lazy: bool = False
) -> AsyncIterator[Resources]:
    """Open the pool with its metrics and traces until the block ends.

    Args:
        settings: the service's.
        lifecycle: of the process; the metrics show its draining.
        program: the name of the service's distribution, and of the service in its spans.
        lazy: do not wait for Postgres; connect at the first statement.

    Raises:
        SettingsError: a file of keys, of a password or of certificates is unusable, or a pooler.
    """
    payload_keys = PayloadKeys.from_settings(settings)
    sdk_metrics = SdkMetrics()
    registry = make_registry(
        program,
        draining_seconds=lambda: lifecycle.draining_seconds,
        drain_seconds=settings.stop_seconds,
    )
    database = DatabaseMetrics(registry)
    credentials = WatchedCredentials(registry)
    credentials.add(payload_keys.file)
    password = load_password(settings)
    credentials.add(password)
    temporal = TemporalCredentials(settings.temporal_api_key_file)
    credentials.add(temporal.files)
    async with (
        configure_traces(settings, service=program) as traces,
        open_pool(
            settings.database_url,
            size=settings.database_pool_size,
            wait_seconds=0 if lazy else settings.start_wait_seconds,
            lazy=lazy,
            password=password,
            observers=(database.observe_statement, *traces.statement_observers),
            on_connect=database.count_connect,
        ) as pool,
        credentials.watched(),
    ):
        database.observe_pool(pool)
        if not lazy:
            await check_statements(pool)
        yield Resources(pool, registry, traces, sdk_metrics, payload_keys, credentials, temporal)
