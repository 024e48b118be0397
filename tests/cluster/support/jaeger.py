"""The cluster's Jaeger, and the traces that its API shows: JAEGER=namespace/service:port."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import httpx

from tests.cluster.support.cluster import Cluster, Namespace
from tests.cluster.support.prometheus import Address
from tests.e2e.support.collector import Span

_OTLP_HTTP: Final = 4318
_NANOSECONDS: Final = 1000


@dataclass(frozen=True)
class Jaeger:
    """Collects spans, as `Collecting` does, and shows them by its API of queries."""

    cluster: Cluster
    queries: Address

    @property
    def url(self) -> str:
        """What the chart's `traces.endpoint` takes."""
        return self.queries._replace(port=_OTLP_HTTP).url

    @asynccontextmanager
    async def reached(self) -> AsyncIterator["Queries"]:
        namespace = Namespace(self.cluster, self.queries.namespace)
        async with (
            namespace.forwarded(f"service/{self.queries.service}", self.queries.port) as port,
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http,
        ):
            yield Queries(http)


@dataclass(frozen=True)
class Queries:
    http: httpx.AsyncClient

    async def trace(self, trace_id: str) -> list[Span]:
        """Return the spans of a trace in the order in which they began; none if it is unknown."""
        answer = await self.http.get(f"/api/traces/{trace_id}")
        if answer.status_code == HTTPStatus.NOT_FOUND:
            return []
        answer.raise_for_status()
        [trace] = answer.json()["data"]
        spans = [_span(span, trace["processes"]) for span in trace["spans"]]
        return sorted({span.span_id: span for span in spans}.values(), key=lambda span: span.start)


def _span(span: dict[str, Any], processes: dict[str, Any]) -> Span:
    tags = {tag["key"]: tag["value"] for tag in span["tags"]}
    parents = [one["spanID"] for one in span["references"] if one["refType"] == "CHILD_OF"]
    start = span["startTime"] * _NANOSECONDS
    return Span(
        service=processes[span["processID"]]["serviceName"],
        name=span["operationName"],
        kind=tags.get("span.kind", "internal"),
        trace_id=span["traceID"],
        span_id=span["spanID"],
        parent_id=parents[0] if parents else "",
        start=start,
        end=start + span["duration"] * _NANOSECONDS,
        failed=bool(tags.get("error")),
        attributes=tags,
    )
