"""Spans of SQL statements against a real Postgres."""

from collections.abc import AsyncIterator
from contextlib import suppress

import asyncpg
import pytest
import pytest_asyncio
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode, get_tracer

from orderfleet.observability.otel.statement_spans import trace_statement
from orderfleet.store.pool import Pool, open_pool
from tests.integration.support.servers import Database
from tests.support.spans import exported

INSERT = "INSERT INTO schema_migrations (number, name) VALUES ($1, $2)"


@pytest_asyncio.fixture
async def traced(database: Database) -> AsyncIterator[Pool]:
    exported().clear()
    async with open_pool(
        database.owner_url, size=1, wait_seconds=0, observers=[trace_statement]
    ) as opened:
        yield opened


def finished_spans() -> list[ReadableSpan]:
    return [span for span in exported().get_finished_spans() if span.name != "step"]


async def test_a_statement_is_one_span_with_its_text_and_no_value(traced: Pool) -> None:
    query = "SELECT number FROM schema_migrations WHERE name = $1"
    with get_tracer(__name__).start_as_current_span("step"):
        await traced.fetch(query, "canary")
        await traced.fetchrow(query, "canary")
        await traced.fetchval(query, "canary")
        await traced.execute("SELECT 1")
    assert [span.name for span in finished_spans()] == ["SELECT schema_migrations"] * 3 + ["SELECT"]
    first = finished_spans()[0]
    assert first.attributes is not None
    assert first.attributes["db.query.text"] == query
    assert first.attributes["db.system.name"] == "postgresql"
    assert {"db.namespace", "server.address"} < set(first.attributes)
    assert not any("canary" in span.to_json() for span in finished_spans())
    assert {span.status.status_code for span in finished_spans()} == {StatusCode.UNSET}


async def test_a_statement_that_fails_tells_postgres_code_and_no_more(traced: Pool) -> None:
    # "Key (number)=(1) already exists", says Postgres, and asyncpg of a wrong type: "'canary'".
    with get_tracer(__name__).start_as_current_span("step"):
        with suppress(asyncpg.UniqueViolationError):
            await traced.execute(INSERT, 1, "canary")
        with suppress(asyncpg.DataError):
            await traced.execute(INSERT, "canary", "canary")
    refused, wrong = finished_spans()
    assert {span.status.status_code for span in finished_spans()} == {StatusCode.ERROR}
    assert not any(
        "canary" in span.to_json() or "(1)" in span.to_json() for span in finished_spans()
    )
    assert refused.attributes is not None
    assert (
        refused.attributes["db.response.status_code"] == refused.attributes["error.type"] == "23505"
    )
    assert wrong.attributes is not None
    assert wrong.attributes["error.type"] == "22000"


async def test_outside_of_a_span_there_is_none(traced: Pool) -> None:
    exported()
    await traced.fetchval("SELECT 1")
    assert finished_spans() == []
    with pytest.raises(asyncpg.UndefinedTableError):
        await traced.fetchval("SELECT 1 FROM nowhere")
    assert finished_spans() == []
