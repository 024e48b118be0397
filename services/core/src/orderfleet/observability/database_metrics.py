"""Metrics of a process's Postgres: the pool's connections and the duration of its statements."""

from typing import Final

from asyncpg.connection import LoggedQuery
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from orderfleet.store.pool import STATEMENT_SECONDS, Pool

_BUCKETS: Final = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0),
    STATEMENT_SECONDS,
    5.0,
)
_OUTCOMES: Final = ("completed", "failed")


class DatabaseMetrics:
    """Connections and statements of one pool."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._connections = Gauge(
            "orderfleet_database_connections",
            "Connections of the pool: used or idle, both always there.",
            ["state"],
            registry=registry,
        )
        self._size = Gauge(
            "orderfleet_database_pool_size",
            "Most connections that the pool may open.",
            registry=registry,
        )
        duration = Histogram(
            "orderfleet_statement_duration_seconds",
            "Time of a statement in Postgres and on the way: completed or failed.",
            ["outcome"],
            buckets=_BUCKETS,
            registry=registry,
        )
        connects = Counter(
            "orderfleet_database_connects",
            "Connections to Postgres: completed, or failed and none was opened.",
            ["outcome"],
            registry=registry,
        )
        # Create the series at 0: `increase()` misses the first increment of a new series. Keep
        # them, too: each look-up by label takes a microsecond.
        self._completed, self._failed = (duration.labels(outcome) for outcome in _OUTCOMES)
        self._opened, self._refused = (connects.labels(outcome) for outcome in _OUTCOMES)

    def observe_statement(self, statement: LoggedQuery) -> None:
        """Record the duration of a statement that has ended."""
        duration = self._completed if statement.exception is None else self._failed
        duration.observe(statement.elapsed)

    def count_connect(self, opened: bool) -> None:  # noqa: FBT001 (a callback's only argument)
        """Count an attempt to open a connection."""
        (self._opened if opened else self._refused).inc()

    def observe_pool(self, pool: Pool) -> None:
        """Read this pool's connections at each scrape."""
        # The scrape's thread reads the two numbers one after the other.
        used = lambda: max(pool.get_size() - pool.get_idle_size(), 0)  # noqa: E731
        self._connections.labels("used").set_function(used)
        self._connections.labels("idle").set_function(pool.get_idle_size)
        self._size.set(pool.get_max_size())
