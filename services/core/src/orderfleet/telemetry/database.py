"""What a process tells of its Postgres: the pool's connections and the time of its statements."""

from contextlib import AbstractContextManager
from time import perf_counter
from types import TracebackType
from typing import ClassVar, Final, cast

from prometheus_client import CollectorRegistry, Gauge, Histogram

from orderfleet.store.pool import STATEMENT_SECONDS, Connection, Pool
from orderfleet.store.watched import WatchedConnection

_EDGES: Final = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0),
    STATEMENT_SECONDS,
    5.0,
)


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
            buckets=_EDGES,
            registry=registry,
        )
        # A rate does not see the way from absent to 1; and a look-up by label costs a microsecond.
        self._completed = duration.labels("completed")
        self._failed = duration.labels("failed")

    def timed(self, base: type[Connection]) -> type[Connection]:
        """Return a class of connections that do as `base` and whose statements are timed here."""
        namespace = {"__slots__": (), "completed": self._completed, "failed": self._failed}
        made = type(f"Timed{base.__name__}", (_TimedConnection, base), namespace)
        return cast("type[Connection]", made)

    def watch(self, pool: Pool) -> None:
        """Tell at each scrape of this pool's connections."""
        # The two are looked at one after the other, in a scrape's thread.
        used = lambda: max(pool.get_size() - pool.get_idle_size(), 0)  # noqa: E731
        self._connections.labels("used").set_function(used)
        self._connections.labels("idle").set_function(pool.get_idle_size)
        self._size.set(pool.get_max_size())


class _TimedConnection(WatchedConnection):
    """A connection that times its statements."""

    __slots__ = ()

    completed: ClassVar[Histogram]
    failed: ClassVar[Histogram]

    def around(self, query: str) -> AbstractContextManager[None]:
        """Time the statement, and what else is around it."""
        return _Timed(self, super().around(query))


class _Timed:
    """Times the block; a third of what `contextlib` costs."""

    __slots__ = ("_began", "_connection", "_inner")

    def __init__(self, connection: _TimedConnection, inner: AbstractContextManager[None]) -> None:
        self._connection = connection
        self._inner = inner

    def __enter__(self) -> None:
        self._began = perf_counter()
        self._inner.__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self._inner.__exit__(kind, error, traceback)
        finally:
            duration = self._connection.completed if kind is None else self._connection.failed
            duration.observe(perf_counter() - self._began)
