"""A span for each SQL statement inside another span: its text, never its values.

OpenTelemetry's own instrumentation of asyncpg creates a second span for every statement (the
pool's reset of the connection), names nearly all of the fleet's statements `WITH`, and exports
Postgres' messages, which quote values.
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

# A verb and its table; `FROM` a function does not match.
_OPERATION: Final = re.compile(
    r"\b(?:(INSERT\s+INTO|UPDATE|DELETE\s+FROM)|FROM|JOIN)\s+(?!SET\b)([a-z_][a-z0-9_.]*+)"
    r"(?(1)|(?!\s*\())",
    re.IGNORECASE,
)
_CTE: Final = re.compile(r"(?:\bWITH|,)\s+([a-z_]+)\s+AS\s*\(", re.IGNORECASE)
_SUMMARY_LENGTH: Final = 255


def trace_statement(statement: LoggedQuery) -> None:
    """Create the span of a statement that has ended, unless it would be a root span.

    Such statements have no request or order: probes and the queries of the metrics.
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
            **_server(statement.conn_addr),
        },
        start_time=ended - int(statement.elapsed * 1e9),
    )
    error = statement.exception
    # CancelledError is no Exception: a cancelled statement did not fail.
    if isinstance(error, Exception):
        span.set_status(Status(StatusCode.ERROR))
        state = error.sqlstate if isinstance(error, asyncpg.PostgresError) else None
        if state:
            span.set_attribute(DB_RESPONSE_STATUS_CODE, state)
        span.set_attribute(ERROR_TYPE, state or type(error).__qualname__)
    span.end(ended)


def _server(address: tuple[str, int] | str) -> dict[str, str | int]:
    if isinstance(address, tuple):
        return {SERVER_ADDRESS: address[0], SERVER_PORT: address[1]}
    return {SERVER_ADDRESS: address}


@lru_cache(maxsize=256)
def summary_of(query: str) -> str:
    """Return a statement's verbs and tables in order: `SELECT orders UPDATE orders`."""
    ctes = {name.lower() for name in _CTE.findall(query)}
    operations: dict[str, None] = {}
    for verb, table in _OPERATION.findall(query):
        if table.lower() not in ctes:
            operations[f"{verb.split()[0].upper() if verb else 'SELECT'} {table}"] = None
    summary = " ".join(operations) or query.split(maxsplit=1)[0].upper()
    return summary[:_SUMMARY_LENGTH]
