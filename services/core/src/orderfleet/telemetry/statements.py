"""A span for each SQL statement inside another span: its text, never its values.

OpenTelemetry's own instrumentation of asyncpg makes a second span for every statement (the pool
resets a connection when it takes it back), names nearly all of ours `WITH`, and lets Postgres'
messages out, which quote values.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Final

import asyncpg
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

from orderfleet.store.watched import WatchedConnection

# A verb and its table; `FROM` a function is not one.
_OPERATION: Final = re.compile(
    r"\b(?:(INSERT\s+INTO|UPDATE|DELETE\s+FROM)|FROM|JOIN)\s+(?!SET\b)([a-z_][a-z0-9_.]*+)"
    r"(?(1)|(?!\s*\())",
    re.IGNORECASE,
)
_NAMED: Final = re.compile(r"(?:\bWITH|,)\s+([a-z_]+)\s+AS\s*\(", re.IGNORECASE)
_SUMMARY_LENGTH: Final = 255


class TracedConnection(WatchedConnection):
    """A connection that makes a span of each statement."""

    __slots__ = ()

    @contextmanager
    def around(self, query: str) -> Iterator[None]:
        """Make the span, unless the statement would be a trace of its own.

        There is nothing to see in one: a probe, a look of the metrics.
        """
        if not get_current_span().is_recording():
            with super().around(query):
                yield
            return
        summary = summary_of(query)
        with get_tracer(__name__).start_as_current_span(
            summary,
            kind=SpanKind.CLIENT,
            attributes={
                DB_SYSTEM_NAME: "postgresql",
                DB_QUERY_SUMMARY: summary,
                DB_QUERY_TEXT: query,
                **self._place(),
            },
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                with super().around(query):
                    yield
            except Exception as error:
                span.set_status(Status(StatusCode.ERROR))
                state = error.sqlstate if isinstance(error, asyncpg.PostgresError) else None
                if state:
                    span.set_attribute(DB_RESPONSE_STATUS_CODE, state)
                span.set_attribute(ERROR_TYPE, state or type(error).__qualname__)
                raise

    def _place(self) -> dict[str, str | int]:
        database = self._params.database  # type: ignore[attr-defined]  # stubs leave it out
        address: tuple[str, int] | str = self._addr  # type: ignore[attr-defined]  # the same
        if isinstance(address, tuple):
            host, port = address
            return {DB_NAMESPACE: database, SERVER_ADDRESS: host, SERVER_PORT: port}
        return {DB_NAMESPACE: database, SERVER_ADDRESS: address}


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
