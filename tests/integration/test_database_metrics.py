"""Metrics of the pool and of its statements, with a real Postgres."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest
from opentelemetry.trace import StatusCode, get_tracer
from prometheus_client import CollectorRegistry

from orderfleet.observability.database_metrics import DatabaseMetrics
from orderfleet.observability.otel.statement_spans import trace_statement
from orderfleet.store.pool import UNAVAILABLE, Pool, StatementObserver, open_pool
from tests.integration.support.fleet import eventually
from tests.integration.support.servers import Database
from tests.support.spans import exported

_NAME = "orderfleet_statement_duration_seconds"


class Measured:
    """A pool and its metrics."""

    def __init__(self, pool: Pool, registry: CollectorRegistry) -> None:
        self.pool = pool
        self._registry = registry

    def value(self, name: str, **labels: str) -> float:
        value = self._registry.get_sample_value(name, labels)
        assert value is not None, (name, labels)
        return value

    def statements(self) -> tuple[float, float]:
        """Return how many were completed, and how many failed."""
        completed, failed = (
            self.value(f"{_NAME}_count", outcome=outcome) for outcome in ("completed", "failed")
        )
        return completed, failed

    def connects(self) -> tuple[float, float]:
        """Return how many connections were opened, and how many were not."""
        opened, refused = (
            self.value("orderfleet_database_connects_total", outcome=outcome)
            for outcome in ("completed", "failed")
        )
        return opened, refused

    def connections(self) -> tuple[float, float]:
        """Return how many are used, and how many are idle."""
        used, idle = (
            self.value("orderfleet_database_connections", state=state) for state in ("used", "idle")
        )
        return used, idle


@asynccontextmanager
async def measured(
    database: Database, *others: StatementObserver, lazy: bool = True
) -> AsyncIterator[Measured]:
    registry = CollectorRegistry()
    metrics = DatabaseMetrics(registry)
    async with open_pool(
        database.url,
        size=3,
        wait_seconds=0,
        lazy=lazy,
        observers=[metrics.observe_statement, *others],
        on_connect=metrics.count_connect,
    ) as pool:
        metrics.observe_pool(pool)
        yield Measured(pool, registry)


async def test_the_connections_of_the_pool(database: Database) -> None:
    async with measured(database) as measurement:
        assert measurement.value("orderfleet_database_pool_size") == 3
        assert measurement.connections() == (0, 0)
        async with measurement.pool.acquire(), measurement.pool.acquire():
            assert measurement.connections() == (2, 0)
        assert measurement.connections() == (0, 2)
        async with measurement.pool.acquire():
            assert measurement.connections() == (1, 1)
    assert measurement.connections() == (0, 0)


@pytest.mark.parametrize("others", [(), (trace_statement,)])
async def test_each_statement_is_timed_once(
    database: Database, others: tuple[StatementObserver, ...]
) -> None:
    exported().clear()
    async with measured(database, *others, lazy=False) as measurement:
        # What it takes to connect is none of the fleet's statements.
        assert measurement.statements() == (0, 0)
        with get_tracer(__name__).start_as_current_span("step"):
            await measurement.pool.execute("SELECT 1")
            await measurement.pool.execute("SELECT $1::int", 1)
            await measurement.pool.fetch("SELECT 1")
            await measurement.pool.fetchrow("SELECT 1")
            await measurement.pool.fetchval("SELECT 1")
        assert measurement.statements() == (5, 0)
        spans = [span.name for span in exported().get_finished_spans() if span.name != "step"]
        assert spans == ["SELECT"] * 5 * len(others)
        before = measurement.value(f"{_NAME}_sum", outcome="completed")
        await measurement.pool.fetchval("SELECT pg_sleep(0.2)")
        assert 0.2 <= measurement.value(f"{_NAME}_sum", outcome="completed") - before < 1
        # As long as a statement may take.
        assert measurement.value(f"{_NAME}_bucket", outcome="completed", le="2.5") == 6


async def test_what_asyncpg_asks_for_itself_is_none_of_them(database: Database) -> None:
    exported().clear()
    async with measured(database, trace_statement) as measurement:
        with get_tracer(__name__).start_as_current_span("step"):
            # Types that a connection asks about when it first sees them.
            await measurement.pool.fetchval(
                "SELECT ARRAY(SELECT ROW(1, 'a')), 'x'::information_schema.sql_identifier"
            )
        assert measurement.statements() == (1, 0)
    assert len(exported().get_finished_spans()) == 2


async def test_the_wait_for_a_connection_is_not_in_it(database: Database) -> None:
    async with measured(database) as measurement:
        async with (
            measurement.pool.acquire(),
            measurement.pool.acquire(),
            measurement.pool.acquire(),
        ):
            waiting = asyncio.create_task(measurement.pool.fetchval("SELECT 1"))
            await asyncio.sleep(0.3)
        await waiting
        assert measurement.value(f"{_NAME}_sum", outcome="completed") < 0.2


@pytest.mark.parametrize("others", [(), (trace_statement,)])
async def test_what_does_not_complete_has_failed(
    database: Database, others: tuple[StatementObserver, ...]
) -> None:
    async with measured(database, *others) as measurement:
        with pytest.raises(asyncpg.UndefinedTableError):
            await measurement.pool.fetchrow("SELECT 1 FROM nowhere")
        assert measurement.statements() == (0, 1)
        with pytest.raises(TimeoutError):
            async with measurement.pool.acquire() as connection:
                await connection.fetchval("SELECT pg_sleep(60)", timeout=0.2)
        assert measurement.statements() == (0, 2)
        assert 0.2 <= measurement.value(f"{_NAME}_sum", outcome="failed") < 2
        with pytest.raises(asyncpg.ConnectionDoesNotExistError):
            await measurement.pool.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        # asyncpg calls its query loggers in the next iteration of the event loop.
        await asyncio.sleep(0)
        assert measurement.statements() == (0, 3)
        cancelled = asyncio.create_task(measurement.pool.fetch("SELECT pg_sleep(60)"))

        async def under_way() -> bool:
            return measurement.connections()[0] == 1

        await eventually(under_way)
        await asyncio.sleep(0.2)
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        assert measurement.statements() == (0, 4)


async def test_connections_that_are_opened_and_that_are_refused(
    database: Database, owner: Pool
) -> None:
    async with measured(database) as measurement:
        assert measurement.connects() == (0, 0)
        async with measurement.pool.acquire(), measurement.pool.acquire():
            assert measurement.connects() == (2, 0)
            await owner.execute(f"ALTER DATABASE {database.name} CONNECTION LIMIT 2")
            with pytest.raises(UNAVAILABLE):
                await measurement.pool.fetchval("SELECT 1")
        assert measurement.connects() == (2, 1)
        # Those that are open serve on.
        assert await measurement.pool.fetchval("SELECT 1") == 1
        assert measurement.connects() == (2, 1)


async def test_a_span_is_as_long_as_its_statement_and_within_the_step(database: Database) -> None:
    exported().clear()
    async with measured(database, trace_statement, lazy=False) as measurement:
        with get_tracer(__name__).start_as_current_span("step") as step:
            await measurement.pool.fetchval("SELECT pg_sleep(0.2)")
            cancelled = asyncio.create_task(measurement.pool.fetchval("SELECT pg_sleep(60)"))
            await asyncio.sleep(0.2)
            cancelled.cancel()
            with pytest.raises(asyncio.CancelledError):
                await cancelled
    slept, given_up, outer = exported().get_finished_spans()
    for span in (slept, given_up):
        assert span.parent is not None
        assert span.parent.span_id == step.get_span_context().span_id
        assert span.status.status_code is StatusCode.UNSET
    assert outer.start_time is not None
    assert slept.start_time is not None
    assert slept.end_time is not None
    assert outer.start_time <= slept.start_time + 5_000_000
    assert 0.2e9 <= slept.end_time - slept.start_time < 1e9
