"""What gateways say over HTTP, through the whole fleet: clean, short, and without an address."""

import asyncio
import gzip
import html
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from urllib.parse import quote

import pytest
from temporalio.api.enums.v1 import EventType

from orderfleet.domain.contract import shipping_id
from orderfleet.domain.orders import Address, OrderState
from orderfleet.gateways.http import HTTPCarrier, HTTPPaymentGateway
from orderfleet_api import order_service
from tests.integration.support.books import books
from tests.integration.support.fleet import Fleet, an_order, new_id

AWAY = Address("Königstraße 12", "Köln", name="Jörg Straßer", postal_code="50667", country="DE")
SAID = "no way to Königstraße 12, 50667 Köln, dear Jörg Straßer \x00\u202e"
PARTS = ("nigstra", "köln", "k\\u00f6", "straßer", "stra\\u00df", "50667", "c3%b6", "&ouml")


@asynccontextmanager
async def _gateway(
    status: int, body: bytes, packed: str = "identity", *, to: str = "POST"
) -> AsyncIterator[str]:
    """Answer all calls of a method so, and 404 to all others."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            lines = dict(line.split(b": ") for line in head.lower().splitlines()[1:-1])
            await reader.readexactly(int(lines.get(b"content-length", b"0")))
            answer = body if head.startswith(to.encode()) else b"{}"
            code = status if head.startswith(to.encode()) else 404
            writer.write(
                f"HTTP/1.1 {code} So\r\ncontent-length: {len(answer)}\r\nconnection: close\r\n"
                f"content-encoding: {packed if answer is body else 'identity'}\r\n\r\n".encode()
            )
            writer.write(answer)
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"http://user:hidden@127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize(
    "escaped",
    [
        lambda text: json.dumps({"detail": text}),
        lambda text: json.dumps({"detail": text}, ensure_ascii=False).upper(),
        lambda text: html.escape(json.dumps(json.dumps(text))),
        quote,
        lambda text: text.encode("ascii", "xmlcharrefreplace").decode(),
    ],
)
async def test_a_carriers_refusal_leaves_no_address_anywhere(
    fleet: Fleet,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    escaped: Callable[[str], str],
) -> None:
    order_id = new_id()
    backends = fleet.backends()
    async with _gateway(422, escaped(SAID).encode()) as url:
        carrier = HTTPCarrier(url)
        monkeypatch.setattr("tests.integration.support.fleet.SimulatedCarrier", lambda *_: carrier)
        async with fleet.working(), carrier:
            await order_service.accept(backends, order_id, an_order(f"pay-{order_id}", AWAY))
            assert (await fleet.result(order_id)).state is OrderState.FAILED
            status = await order_service.status(backends, order_id)
    failed = [
        event
        for event in (await books(fleet.pool, order_id)).events
        if "reason" in event["payload_json"]
    ]
    child = await fleet.workflow(shipping_id(order_id, 1)).fetch_history()
    parent = await fleet.workflow(order_id).fetch_history()
    signals = [
        event
        for event in parent.events
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED
    ]
    texts = [
        str(failed),
        str(status.errors),
        status.reason,
        child.to_json(),
        str(signals),
        caplog.text,
    ]
    for text in texts:
        assert not [part for part in (*PARTS, "hidden", "\x00", "\u202e") if part in text.lower()]
    assert "422" in str(failed)
    assert "***" in str(failed)


async def test_a_decline_with_a_nul_stays_a_decline(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    order_id = new_id()
    async with _gateway(422, b"no \x00money\\u0000") as url:
        gateway = HTTPPaymentGateway(url)
        monkeypatch.setattr(
            "tests.integration.support.fleet.SimulatedPaymentGateway", lambda *_: gateway
        )
        async with fleet.working(), gateway:
            await order_service.accept(fleet.backends(), order_id, an_order(f"pay-{order_id}"))
            result = await fleet.result(order_id)
    assert result.state is OrderState.FAILED
    assert "no money" in result.reason
    [declined] = [event for event in await fleet.events(order_id) if event.type == "declined"]
    assert "no money" in str(declined.payload)


@pytest.mark.parametrize(
    ("tracking", "packed"), [("T\x00-1", "identity"), ("T" * 50_000, "identity"), ("T-1", "gzip")]
)
async def test_a_package_with_an_odd_number_is_no_package_to_call_back(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch, tracking: str, packed: str
) -> None:
    order_id = new_id()
    body = json.dumps({"tracking": tracking}).encode()
    async with _gateway(201, gzip.compress(body) if packed == "gzip" else body, packed) as url:
        carrier = HTTPCarrier(url)
        monkeypatch.setattr("tests.integration.support.fleet.SimulatedCarrier", lambda *_: carrier)
        async with fleet.working(), carrier:
            await order_service.accept(fleet.backends(), order_id, an_order(f"pay-{order_id}"))
            assert (await fleet.result(order_id)).state is OrderState.FULFILLED
    [fulfilled] = [event for event in await fleet.events(order_id) if event.type == "fulfilled"]
    kept = fulfilled.payload["tracking"]
    assert kept == ("T -1" if "\x00" in tracking else tracking[:200])
