"""A fleet with a collector of spans, and checks for every trace of an order."""

import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from textwrap import dedent
from typing import Any, Final

import httpx

from orderfleet_cli.local import SERVICES
from tests.e2e.support.collector import Collector, Span
from tests.e2e.support.orders import Orders, new_id

BEGIN_CHARGE: Final = (
    "SELECT orders SELECT events INSERT payments UPDATE orders INSERT events SELECT payments"
)
ORDER: Final = "orderfleet.order.id"
# A word that appears nowhere else.
KEY: Final = "canary-key-7f3a"
HOME: Final = {
    "name": "Canaryname",
    "street": "1 Canarystreet",
    "city": "Canarycity",
    "postal_code": "CANARY-1",
}


@dataclass(frozen=True)
class Traced:
    """A fleet and the collector of its spans."""

    orders: Orders
    collector: Collector

    async def start(self, kind: str, flags: str = "01") -> tuple[str, str, str]:
        """Place an order within a caller's trace; return the ids of order, trace and parent."""
        order_id, trace_id, parent_id = new_id(kind), secrets.token_hex(16), secrets.token_hex(8)
        caller = {"traceparent": f"00-{trace_id}-{parent_id}-{flags}"}
        answer = await self.orders.start(order_id, caller, address=HOME)
        assert answer.status_code == 202, answer.text
        return order_id, trace_id, parent_id

    async def ask(self, path: str, body: dict[str, Any]) -> tuple[httpx.Response, str]:
        """Send a request within a new trace; return the answer and the trace id."""
        trace_id = secrets.token_hex(16)
        answer = await self.orders.http.post(
            path,
            json=body,
            headers={"traceparent": f"00-{trace_id}-{secrets.token_hex(8)}-01"},
        )
        return answer, trace_id


def drawn(text: str) -> str:
    """Return the text without its indent, as `tree` draws it."""
    return dedent(text).strip()


def within(part: str, whole: str) -> bool:
    """Return whether a tree contains this part, at any depth."""
    wanted = drawn(part).splitlines()
    lines = whole.splitlines()
    for start, line in enumerate(lines):
        if line.strip() == wanted[0]:
            depth = len(line) - len(line.lstrip())
            found = lines[start : start + len(wanted)]
            if found == [" " * depth + one for one in wanted]:
                return True
    return False


def check_times(spans: list[Span]) -> None:
    """Check that activities and statements lie within their parents, and workflows start there.

    A cancelled shipping may end after its order, which does not wait for it.
    """
    by_id = {span.span_id: span for span in spans}
    run_id = "temporalRunID"
    runs = {span.attributes[run_id]: span for span in spans if span.name.startswith("RunWorkflow:")}
    [order] = (span for span in spans if span.name == "RunWorkflow:OrderWorkflow")
    for span in spans:
        if span.name.startswith(("StartActivity:", "RunActivity:")):
            assert runs[span.attributes[run_id]].holds(span), span
        elif span.name == "RunWorkflow:ShippingWorkflow":
            assert order.start < span.start < order.end, span
        elif "db.query.text" in span.attributes:
            assert by_id[span.parent_id].holds(span), span
        elif span.name == "RunWorkflow:RefundWorkflow":
            assert by_id[span.parent_id].start < span.start


def check_attributes(spans: list[Span], order_id: str) -> None:
    """Check the spans' attributes against OpenTelemetry's conventions."""
    queues = {"orderfleet-order-worker": "orders-tq", "parcels": "shipping-tq"}
    for span in spans:
        said = span.attributes
        assert said.get("temporal.task_queue") == queues.get(span.service)
        if "db.query.text" in said:
            assert (span.kind, said["db.system.name"]) == ("client", "postgresql")
            assert said["db.query.summary"] == span.name
            assert said["db.namespace"] == "orderfleet"
            assert said["server.address"] == "127.0.0.1"
            assert "$1" in said["db.query.text"]
        else:
            assert said[ORDER] == order_id
        if span.name.startswith("RunActivity:"):
            assert said["temporal.attempt"] >= 1
        if span.name.startswith("POST "):
            assert span.kind == "server"
            assert span.name == f"{said['http.request.method']} {said['http.route']}"
            assert said["url.path"] == said["http.route"].replace("{order_id}", order_id)
            assert said["http.response.status_code"] in {200, 202}


def is_of(span: Span, line: dict[str, Any]) -> bool:
    return (span.trace_id, span.span_id) == (line["trace_id"], line["span_id"])


def lines_of(orders: Orders) -> Iterator[dict[str, Any]]:
    for name in SERVICES:
        for line in orders.fleet.log(name).read_text().splitlines():
            yield json.loads(line)
