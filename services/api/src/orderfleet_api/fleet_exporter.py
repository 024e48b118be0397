"""What the API tells of the whole fleet: orders in Postgres, task queues in Temporal.

The API does, and not the workers, because a queue's backlog matters most when it has no worker.
A source is looked at every few seconds, apart from scrapes, and told as long as it is fresh.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from time import monotonic
from typing import Final, NoReturn

import structlog
from msgspec import Struct
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from temporalio.client import Client

from orderfleet.store.fleet_queries import read_totals
from orderfleet.store.health import last_migration_failed, schema_version
from orderfleet.store.pool import Pool
from orderfleet.temporal.task_queues import TYPES, count_pollers, describe_task_queue
from orderfleet_api.settings import ApiSettings

log = structlog.stdlib.get_logger(__name__)

POSTGRES: Final = "postgres"
TEMPORAL: Final = "temporal"
# Longer than a look takes by far, shorter than an alert waits.
_LOOK_SECONDS: Final = 2.5
# An order ends within its deadline, or SettleOrders ends it at the latest 5 s after it.
_GRACE: Final = timedelta(seconds=5)
Look = Callable[[], Awaitable[list[Metric]]]


class _Seen(Struct, frozen=True):
    """What the last look at a source found, None if it failed; and when."""

    at: float
    gauges: list[Metric] | None


class FleetGauges(Collector):
    """Tells at a scrape what the last looks saw."""

    def __init__(self, fresh_seconds: float) -> None:
        self._fresh_seconds = fresh_seconds
        self._seen: dict[str, _Seen] = {}

    async def look(self, source: str, look: Look) -> None:
        """Look at a source and remember what was there."""
        before = self._seen.get(source)
        gauges = None
        try:
            async with asyncio.timeout(_LOOK_SECONDS):
                gauges = await look()
        except Exception as error:  # noqa: BLE001 (whatever it is, it is told, and tried again)
            if before is None or before.gauges is not None:
                why = str(error) or type(error).__name__
                log.warning("a source of metrics is away", source=source, error=why)
        self._seen[source] = _Seen(monotonic(), gauges)

    def collect(self) -> Iterator[Metric]:
        """Yield the gauges of the sources whose last look worked. Called in a scrape's thread."""
        up = _gauge(
            "exporter_up", "1 if the last look at postgres or temporal worked, else 0.", "source"
        )
        for source, seen in sorted(self._seen.items()):
            # Old, if the event loop is stuck: nobody looks any more.
            fresh = monotonic() - seen.at < self._fresh_seconds
            told = seen.gauges if fresh else None
            up.add_metric([source], float(told is not None))
            yield from told or ()
        if up.samples:
            yield up

    def describe(self) -> Iterable[Metric]:
        """Say nothing: what there will be depends on the looks."""
        return ()


@asynccontextmanager
async def fleet_gauges(
    registry: CollectorRegistry, pool: Pool, temporal: Client, settings: ApiSettings
) -> AsyncIterator[None]:
    """Look at Postgres and Temporal, each by itself, until the block ends."""
    gauges = FleetGauges(3 * (settings.exporter_seconds + _LOOK_SECONDS))
    registry.register(gauges)
    overdue = timedelta(seconds=settings.order_deadline_seconds) + _GRACE
    queues = (settings.order_task_queue, settings.shipping_task_queue)
    looks: dict[str, Look] = {
        POSTGRES: lambda: look_at_postgres(pool, overdue),
        TEMPORAL: lambda: look_at_temporal(temporal, queues),
    }

    async def keep_looking(source: str, look: Look) -> NoReturn:
        while True:
            await gauges.look(source, look)
            await asyncio.sleep(settings.exporter_seconds)

    tasks = [asyncio.create_task(keep_looking(*one)) for one in looks.items()]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        registry.unregister(gauges)


async def look_at_postgres(pool: Pool, overdue_after: timedelta) -> list[Metric]:
    """Return the gauges of orders, refunds and the schema."""
    totals = await read_totals(pool, overdue_after=overdue_after)
    version = await schema_version(pool)
    failed = await last_migration_failed(pool)
    states = _gauge(
        "open_orders", "Orders that have not ended; every open state is there.", "state"
    )
    for state, count in totals.open.items():
        states.add_metric([state], count)
    found: list[Metric] = [
        states,
        _gauge(
            "overdue_orders",
            "Orders open more than 5 s past their deadline: they need SettleOrders.",
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
        found.append(_gauge("schema_version", what, value=version))
    if failed is not None:
        what = "1 if the last recorded run of orderfleet-migrate failed, else 0."
        found.append(_gauge("migration_failed", what, value=failed))
    return found


async def look_at_temporal(client: Client, queues: Iterable[str]) -> list[Metric]:
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
        "Workers that asked for tasks within the last 90 s.",
        "task_queue",
        "type",
    )
    asked = [(queue, kind) for queue in sorted(set(queues)) for kind in TYPES]
    within = timedelta(seconds=_LOOK_SECONDS)
    answers = await asyncio.gather(
        *(describe_task_queue(client, *one, within=within) for one in asked)
    )
    for labels, answer in zip(asked, answers, strict=True):
        backlog.add_metric(labels, answer.stats.approximate_backlog_count)
        age.add_metric(labels, answer.stats.approximate_backlog_age.ToTimedelta().total_seconds())
        pollers.add_metric(labels, count_pollers(answer))
    return [backlog, age, pollers]


def _gauge(name: str, meaning: str, *labels: str, value: float | None = None) -> GaugeMetricFamily:
    gauge = GaugeMetricFamily(f"orderfleet_{name}", meaning, labels=labels)
    if value is not None:
        gauge.add_metric([], value)
    return gauge
