"""Metrics of the whole fleet: orders in Postgres, task queues and builds of workers in Temporal.

The API exports them and not the workers, because a queue's backlog matters most when it has no
worker. Each source is polled every few seconds, apart from scrapes, and exported while it is fresh.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from time import monotonic
from typing import Final, NoReturn

import structlog
from asyncpg import PostgresError
from msgspec import Struct
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from temporalio.client import Client
from temporalio.service import RPCError

from orderfleet.store.fleet_queries import read_totals
from orderfleet.store.health import last_migration_failed, schema_version
from orderfleet.store.pool import UNAVAILABLE, Pool
from orderfleet.temporal.client import is_away
from orderfleet.temporal.queue_workers import list_queue_workers
from orderfleet.temporal.task_queues import TYPES
from orderfleet.versions.view import view_queue
from orderfleet_api.background import in_background
from orderfleet_api.settings import ApiSettings

log = structlog.stdlib.get_logger(__name__)

POSTGRES: Final = "postgres"
TEMPORAL: Final = "temporal"
# A source of its own: Temporal answers it by a workflow, under load later than for the task queues,
# by which the fleet scales.
VERSIONS: Final = "versions"
# Far longer than a poll takes, shorter than an alert waits.
_POLL_SECONDS: Final = 2.5
# An order ends within its deadline, or ReconcileOrders ends it at the latest 5 s after it.
_GRACE: Final = timedelta(seconds=5)
# A table may be missing, too, until the migrations have run.
_OUTAGE: Final = (*UNAVAILABLE, PostgresError, RPCError)
Poll = Callable[[], Awaitable[list[Metric]]]


class _Polled(Struct, frozen=True):
    """The result of the last poll of a source, None if it failed; and when."""

    at: float
    gauges: list[Metric] | None


class FleetGauges(Collector):
    """Exports the results of the last polls."""

    def __init__(self, fresh_seconds: float) -> None:
        self._fresh_seconds = fresh_seconds
        self._polled: dict[str, _Polled] = {}

    async def poll(self, source: str, poll: Poll) -> None:
        """Poll a source and keep the result."""
        before = self._polled.get(source)
        gauges = None
        try:
            async with asyncio.timeout(_POLL_SECONDS):
                gauges = await poll()
        except Exception as error:  # noqa: BLE001 (whatever it is, the next poll tries again)
            if before is None or before.gauges is not None:
                _log_failure(source, error)
        self._polled[source] = _Polled(monotonic(), gauges)

    def collect(self) -> Iterator[Metric]:
        """Yield the gauges of the sources whose last poll worked. Runs in a scrape's thread."""
        up = _gauge(
            "exporter_up", "1 if the last look at postgres or temporal worked, else 0.", "source"
        )
        for source, polled in sorted(self._polled.items()):
            # Stale if the event loop is stuck, so that nothing polls any more.
            fresh = monotonic() - polled.at < self._fresh_seconds
            gauges = polled.gauges if fresh else None
            if source != VERSIONS:
                up.add_metric([source], float(gauges is not None))
            yield from gauges or ()
        if up.samples:
            yield up

    def describe(self) -> Iterable[Metric]:
        """Describe nothing: the metrics are not known before the first poll."""
        return ()


@asynccontextmanager
async def fleet_gauges(
    registry: CollectorRegistry, pool: Pool, temporal: Client, settings: ApiSettings
) -> AsyncIterator[None]:
    """Poll Postgres and Temporal, each in its own task, until the block ends."""
    gauges = FleetGauges(3 * (settings.exporter_seconds + _POLL_SECONDS))
    registry.register(gauges)
    overdue = timedelta(seconds=settings.order_deadline_seconds) + _GRACE
    queues = (settings.order_task_queue, settings.shipping_task_queue)
    polls: dict[str, Poll] = {
        POSTGRES: lambda: poll_postgres(pool, overdue),
        TEMPORAL: lambda: poll_temporal(temporal, queues),
        VERSIONS: lambda: poll_versions(temporal, queues),
    }

    async def keep_polling(source: str, poll: Poll) -> NoReturn:
        while True:
            await gauges.poll(source, poll)
            await asyncio.sleep(settings.exporter_seconds)

    try:
        async with in_background(*(keep_polling(*item) for item in polls.items())):
            yield
    finally:
        registry.unregister(gauges)


def _log_failure(source: str, error: Exception) -> None:
    if isinstance(error, _OUTAGE) or is_away(error):
        reason = str(error) or type(error).__name__
        log.warning("a source of metrics is away", source=source, error=reason)
    else:
        log.error("a source of metrics failed", source=source, exc_info=error)


async def poll_postgres(pool: Pool, overdue_after: timedelta) -> list[Metric]:
    """Return the gauges of orders, refunds and the schema."""
    totals = await read_totals(pool, overdue_after=overdue_after)
    version = await schema_version(pool)
    failed = await last_migration_failed(pool)
    states = _gauge(
        "open_orders", "Orders that have not ended; every open state is there.", "state"
    )
    for state, count in totals.open.items():
        states.add_metric([state], count)
    gauges: list[Metric] = [
        states,
        _gauge(
            "overdue_orders",
            "Orders open more than 5 s past their deadline: they need ReconcileOrders.",
            value=totals.overdue,
        ),
        _gauge(
            "pending_refunds",
            "Payments of unfulfilled, ended orders that are not given back or closed yet.",
            value=totals.pending_refunds,
        ),
        _gauge(
            "oldest_pending_refund_seconds",
            "Time since the end of the order that waits longest for its refund, 0 if none does.",
            value=totals.oldest_refund_seconds,
        ),
    ]
    if version is not None:
        what = "Number of the newest migration that ran."
        gauges.append(_gauge("schema_version", what, value=version))
    if failed is not None:
        what = "1 if the last recorded run of orderfleet-migrate failed, else 0."
        gauges.append(_gauge("migration_failed", what, value=failed))
    return gauges


async def poll_temporal(client: Client, queues: Iterable[str]) -> list[Metric]:
    """Return the gauges of the task queues."""
    backlog = _gauge(
        "task_queue_backlog",
        "Tasks that wait for a worker, about; sticky ones are not in it.",
        "task_queue",
        "type",
    )
    age = _gauge(
        "task_queue_backlog_age_seconds",
        "How long the oldest of them has waited, about.",
        "task_queue",
        "type",
    )
    pollers = _gauge(
        "task_queue_pollers",
        "Workers that poll now, by their heartbeats.",
        "task_queue",
        "type",
    )
    targets = [(queue, kind) for queue in sorted(set(queues)) for kind in TYPES]
    within = timedelta(seconds=_POLL_SECONDS)
    answers = await asyncio.gather(
        *(list_queue_workers(client, *target, rpc_timeout=within) for target in targets)
    )
    for labels, answer in zip(targets, answers, strict=True):
        stats = answer.queue.stats
        backlog.add_metric(labels, stats.approximate_backlog_count)
        age.add_metric(labels, stats.approximate_backlog_age.ToTimedelta().total_seconds())
        pollers.add_metric(labels, len(answer.workers))
    return [backlog, age, pollers]


async def poll_versions(client: Client, queues: Iterable[str]) -> list[Metric]:
    """Return the gauges of the workers' builds; none while nobody versions a queue."""
    labels = "task_queue", "build", "status"
    share = _gauge("version_share", "Share of the new orders that a build takes, 0 to 1.", *labels)
    pollers = _gauge(
        "version_pollers",
        "Workers of a build that poll for workflow tasks now, by their heartbeats.",
        *labels,
    )
    orders = _gauge("version_open_orders", "Open workflows that are pinned to a build.", *labels)
    ramp = _gauge(
        "version_ramp_seconds",
        "How long a build has been taking a share of the new orders, 0 if none does.",
        "task_queue",
    )
    for queue in await asyncio.gather(*(view_queue(client, name) for name in sorted(set(queues)))):
        if queue.versions:
            ramp.add_metric([queue.task_queue], queue.ramp_seconds)
        for version in queue.versions:
            values = [queue.task_queue, version.build, version.status]
            share.add_metric(values, version.share)
            pollers.add_metric(values, version.pollers)
            if version.open_orders is not None:
                orders.add_metric(values, version.open_orders)
    return [gauge for gauge in (share, pollers, orders, ramp) if gauge.samples]


def _gauge(name: str, meaning: str, *labels: str, value: float | None = None) -> GaugeMetricFamily:
    gauge = GaugeMetricFamily(f"orderfleet_{name}", meaning, labels=labels)
    if value is not None:
        gauge.add_metric([], value)
    return gauge
