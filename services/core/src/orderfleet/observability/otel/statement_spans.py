"""A span for each SQL statement inside another span: its text, never its values.

OpenTelemetry's own instrumentation of asyncpg makes a second span for every statement (the pool
resets a connection when it takes it back), names nearly all of ours `WITH`, and lets Postgres'
messages out, which quote values.
"""

import re
import time
from functools import lru_cache
from typing import Final

import asyncpg
from asyncpg.connection import LoggedQuery
from opentelemetry.semconv.attributes.db_attributes import (
    DB_NAMESPACE,
    DB_QUERY_SUMMARY,
    DB_QUERY_TEXT,
    DB_RESPONSE_STATUS_CODE,
    DB_SYSTEM_NAME,
)
from opentelemetry.semconv.attributes.error_attributes import ERROR_TYPE
from opentelemetry.semconv.attributes.server_attributes import SERVER_ADDRESS, SERVER_PORT
from opentelemetry.trace import SpanKind, Status, StatusCode, get_current_span, get_tracer

# A verb and its table; `FROM` a function is not one.
_OPERATION: Final = re.compile(
    r"\b(?:(INSERT\s+INTO|UPDATE|DELETE\s+FROM)|FROM|JOIN)\s+(?!SET\b)([a-z_][a-z0-9_.]*+)"
    r"(?(1)|(?!\s*\())",
    re.IGNORECASE,
)
_NAMED: Final = re.compile(r"(?:\bWITH|,)\s+([a-z_]+)\s+AS\s*\(", re.IGNORECASE)
_SUMMARY_LENGTH: Final = 255


def trace_statement(statement: LoggedQuery) -> None:
    """Make the span of a statement that has ended, unless it would be a trace of its own.

    There is nothing to see in one: a probe, a look of the metrics.
    """
    if not get_current_span().get_span_context().trace_flags.sampled:
        return
    ended = time.time_ns()
    summary = summary_of(statement.query)
    span = get_tracer(__name__).start_span(
        summary,
        kind=SpanKind.CLIENT,
        attributes={
            DB_SYSTEM_NAME: "postgresql",
            DB_NAMESPACE: statement.conn_params.database,
            DB_QUERY_SUMMARY: summary,
            DB_QUERY_TEXT: statement.query,
            **_place(statement.conn_addr),
        },
        start_time=ended - int(statement.elapsed * 1e9),
    )
    error = statement.exception
    # A statement that was cancelled is none that went wrong.
    if isinstance(error, Exception):
        span.set_status(Status(StatusCode.ERROR))
        state = error.sqlstate if isinstance(error, asyncpg.PostgresError) else None
        if state:
            span.set_attribute(DB_RESPONSE_STATUS_CODE, state)
        span.set_attribute(ERROR_TYPE, state or type(error).__qualname__)
    span.end(ended)


def _place(address: tuple[str, int] | str) -> dict[str, str | int]:
    if isinstance(address, tuple):
        return {SERVER_ADDRESS: address[0], SERVER_PORT: address[1]}
    return {SERVER_ADDRESS: address}


@lru_cache(maxsize=256)
def summary_of(query: str) -> str:
    """Return what a statement does to which tables, in its order: `SELECT orders UPDATE orders`."""
    inner = {name.lower() for name in _NAMED.findall(query)}
    steps: dict[str, None] = {}
    for verb, table in _OPERATION.findall(query):
        if table.lower() not in inner:
            steps[f"{verb.split()[0].upper() if verb else 'SELECT'} {table}"] = None
    summary = " ".join(steps) or query.split(maxsplit=1)[0].upper()
    return summary[:_SUMMARY_LENGTH]
