"""A collector of spans: OTLP over gRPC and over HTTP."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any, Final

import grpc  # type: ignore[import-untyped]
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1 import trace_pb2

from tests.e2e.support.orders import eventually
from tests.support.http_servers import served

ERROR: Final = trace_pb2.Status.STATUS_CODE_ERROR
_Request = trace_service_pb2.ExportTraceServiceRequest
_Answer = trace_service_pb2.ExportTraceServiceResponse


@dataclass(frozen=True)
class Span:
    """A span as it arrived."""

    service: str
    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    start: int
    end: int
    failed: bool
    attributes: dict[str, Any] = field(compare=False)
    links: tuple[tuple[str, str], ...] = ()

    def holds(self, other: "Span") -> bool:
        """Return whether the other span lies within this span's time."""
        return self.start <= other.start <= other.end <= self.end


@dataclass
class Collector:
    """The spans received so far."""

    grpc_url: str = ""
    http_url: str = ""
    spans: list[Span] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    resources: dict[str, dict[str, Any]] = field(default_factory=dict)

    def take(self, request: Any) -> None:
        self.raw.append(request.SerializeToString())
        for group in request.resource_spans:
            about = _values(group.resource.attributes)
            service = about["service.name"]
            self.resources[service] = about
            for scope in group.scope_spans:
                self.spans += [_span(service, span) for span in scope.spans]

    def of_trace(self, trace_id: str) -> list[Span]:
        """Return the spans of a trace in the order in which they began."""
        # A workflow task whose completion was lost runs again and emits spans of the same ids.
        found = {span.span_id: span for span in self.spans if span.trace_id == trace_id}
        return sorted(found.values(), key=lambda span: span.start)

    async def trace_with(self, trace_id: str, *names: str) -> list[Span]:
        """Wait until spans of these names have arrived, and return the whole trace."""

        async def ask() -> list[Span]:
            return self.of_trace(trace_id)

        def complete(spans: list[Span]) -> bool:
            ids = {span.span_id for span in spans}
            roots = [span for span in spans if span.parent_id not in ids]
            return {*names} <= {span.name for span in spans} and len(roots) == 1

        return await eventually(ask, complete)

    async def one(self, name: str, *, where: Callable[[Span], bool]) -> Span:
        """Wait for the only span of this name for which `where` holds."""

        async def ask() -> list[Span]:
            return [span for span in self.spans if span.name == name and where(span)]

        [found] = await eventually(ask, bool)
        return found


def tree(spans: list[Span]) -> str:
    """Draw a trace: one line per span, `!` marks a failure, a repeated statement appears once."""
    ids = {span.span_id for span in spans}

    def lines(span: Span, depth: int) -> Iterator[str]:
        yield f"{'  ' * depth}{span.name}{' !' if span.failed else ''}"
        last = ""
        for child in spans:
            if child.parent_id == span.span_id:
                drawn = list(lines(child, depth + 1))
                if not (child.name == last and "db.query.text" in child.attributes):
                    yield from drawn
                last = child.name

    return "\n".join(line for span in spans if span.parent_id not in ids for line in lines(span, 0))


@contextmanager
def collecting() -> Iterator[Collector]:
    """Run a collector until the block ends."""
    collector = Collector()

    class Service(trace_service_pb2_grpc.TraceServiceServicer):
        def Export(self, request: Any, context: Any) -> Any:  # noqa: N802 (the contract's name)
            collector.take(request)
            return _Answer()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.path == "/v1/traces":
                collector.take(_Request.FromString(body))
            answer = _Answer().SerializeToString()
            self.send_response(200 if self.path == "/v1/traces" else 404)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    rpc = grpc.server(ThreadPoolExecutor(2))
    add: Any = trace_service_pb2_grpc.add_TraceServiceServicer_to_server
    add(Service(), rpc)
    collector.grpc_url = f"http://127.0.0.1:{rpc.add_insecure_port('127.0.0.1:0')}"
    rpc.start()
    with served(Handler) as collector.http_url:
        try:
            yield collector
        finally:
            rpc.stop(None).wait()


def _span(service: str, span: Any) -> Span:
    return Span(
        service=service,
        name=span.name,
        kind=trace_pb2.Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower(),
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        start=span.start_time_unix_nano,
        end=span.end_time_unix_nano,
        failed=span.status.code == ERROR,
        attributes=_values(span.attributes),
        links=tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
    )


def _values(pairs: Any) -> dict[str, Any]:
    return {pair.key: _value(pair) for pair in pairs}


def _value(pair: KeyValue) -> Any:
    return getattr(pair.value, pair.value.WhichOneof("value") or "string_value")
