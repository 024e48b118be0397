"""The server's own bounds: none of many, slow or silent clients keeps an order out."""

import asyncio
import json
import signal
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from http import HTTPStatus
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.e2e.support.apis import run_api
from tests.e2e.support.orders import HOME, Orders, eventually, new_id
from tests.e2e.support.programs import Output
from tests.e2e.support.scrapes import scrape
from tests.e2e.support.sockets import HEALTH, answer, connected, crowd, status
from tests.e2e.support.together import together

pytestmark = pytest.mark.asyncio(loop_scope="session")

_LIMIT = 60
_STREAMS = 20
_ENV = {
    "ORDERFLEET_API_CONNECTIONS": str(_LIMIT),
    "ORDERFLEET_API_STREAMS": str(_STREAMS),
    "LOG_FORMAT": "json",
}
_POST = (
    b"POST /orders/o-1/start HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    b"Content-Length: 100\r\n\r\n{"
)


class Api:
    """An API of few connections."""

    def __init__(self, api: Output, http: httpx.AsyncClient, orders: Orders) -> None:
        self.process = api
        self.http = http
        self.url = str(http.base_url)
        self.orders = replace(orders, http=http)

    async def serves(self) -> None:
        """Check that an order can be placed, and that it is healthy."""
        # On a connection of its own, as a client that comes now.
        async with httpx.AsyncClient(base_url=self.url, timeout=30, trust_env=False) as http:
            assert (await http.get("/health")).json() == {"status": "ok"}
            await replace(self.orders, http=http).place("plain")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def api(orders: Orders, unused_tcp_port_factory: Callable[[], int]) -> AsyncIterator[Api]:
    # Long enough for a test to find its streams open.
    env = {**_ENV, "REVIEW_SECONDS": "60", "ORDER_DEADLINE_SECONDS": "120"}
    async with run_api(orders, unused_tcp_port_factory, env) as (process, http):
        yield Api(process, http, orders)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def calm(orders: Orders, unused_tcp_port_factory: Callable[[], int]) -> AsyncIterator[Api]:
    """Run an API whose connections no crowd closes, for tests that wait on a connection."""
    async with run_api(orders, unused_tcp_port_factory, {}) as (process, http):
        yield Api(process, http, orders)


@together
async def test_pipelined_requests_are_answered_in_order(orders: Orders, calm: Api) -> None:
    async with connected(calm.url, (HEALTH + HEALTH.replace(b"/health", b"/nowhere")) * 20) as (
        reader,
        _,
    ):
        statuses = [status(await answer(reader)) for _ in range(40)]
    assert statuses == [200, 404] * 20


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(b"", id="silent"),
        pytest.param(HEALTH, id="idle after a request"),
        pytest.param(b"GET /health HTTP/1.1\r\nHos", id="half a head"),
        pytest.param(_POST, id="half a body"),
        pytest.param(b"GET /assets/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n", id="unread"),
        pytest.param(HEALTH * 50, id="pipelined"),
    ],
)
async def test_many_who_wait_keep_nobody_out(api: Api, said: bytes) -> None:
    async with crowd(api.url, 5 * _LIMIT, said):
        await api.serves()


async def test_streams_have_a_bound_and_leave_room(api: Api, orders: Orders) -> None:
    order_id = await api.orders.place("plain")
    asked = f"GET /orders/{order_id}/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
    async with crowd(api.url, 2 * _STREAMS, asked) as opened:
        heads = await asyncio.gather(*(reader.readuntil(b"\r\n\r\n") for reader, _ in opened))
        assert Counter(map(status, heads)) == {200: _STREAMS, 503: _STREAMS}
        assert all(b"retry-after: 1" in head for head in heads if status(head) == 503)
        await api.serves()

    async def opens() -> int:
        async with connected(api.url, asked) as (reader, _):
            return status(await reader.readuntil(b"\r\n\r\n"))

    # Their places are free again.
    assert await eventually(opens, lambda code: code == HTTPStatus.OK) == HTTPStatus.OK
    await orders.cancel(order_id)


async def test_calls_that_hang_on_temporal_keep_no_order_out(api: Api, orders: Orders) -> None:
    order_id = await api.orders.place("plain")
    await asyncio.gather(*(orders.fleet.stop(name) for name in ("order-worker", "shipping-worker")))
    try:
        path = f"/orders/{order_id}/review"
        asked = b'{"approved": true, "reviewer": "a", "reason": ""}'
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        said = head.encode() + b"Content-Length: %d\r\n\r\n" % len(asked) + asked
        async with crowd(api.url, _LIMIT - 5, said):
            await api.serves()
    finally:
        names = ("order-worker", "shipping-worker")
        await asyncio.gather(*(orders.fleet.start(name) for name in names))
    await orders.cancel(order_id)


async def test_reads_that_hang_keep_no_order_out_and_each_failure_is_logged(
    api: Api, orders: Orders
) -> None:
    order_id = await api.orders.place("plain")
    asked = f"GET /orders/{order_id} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
    async with orders.pool.acquire() as connection, connection.transaction():
        # A read of an order needs it, an acceptance does not.
        await connection.execute("LOCK payments IN ACCESS EXCLUSIVE MODE")
        async with crowd(api.url, _LIMIT - 10, asked) as opened:
            await api.serves()
            began = time.monotonic()
            answered = await asyncio.gather(*(answer(reader) for reader, _ in opened))
            assert time.monotonic() - began < 15
    assert {status(each) for each in answered} == {HTTPStatus.SERVICE_UNAVAILABLE}
    assert all(b"retry-after: " in each.lower() for each in answered)
    # A line for each of them, with what it was and why.
    lines: list[dict[str, Any]] = []
    while len(lines) < len(answered):
        line = json.loads(await api.process.until("request failed"))
        if line["route"] == "/orders/{order_id}":
            lines.append(line)
    assert {line["status"] for line in lines} == {503}
    assert Counter(line["reason"] for line in lines) == Counter(
        json.loads(each.partition(b"\r\n\r\n")[2])["detail"] for each in answered
    )
    assert (await api.http.get(f"/orders/{order_id}")).status_code == HTTPStatus.OK
    await orders.cancel(order_id)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        pytest.param(b"GET /" + b"a" * 9_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414, id="long URL"),
        pytest.param(b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 101 + b"\r\n", 431, id="many headers"),
        pytest.param(b"GET / HTTP/1.1\r\na: " + b"b" * 33_000 + b"\r\n\r\n", 431, id="large"),
        pytest.param(b"GET / HTTP/1.1\r\na: " + b"b" * 400_000, 431, id="endless"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, id="TLS"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, id="HTTP/2"),
    ],
)
async def test_what_is_too_much_is_refused(api: Api, said: bytes, expected: int) -> None:
    await _is_refused(api, said, expected)


async def _is_refused(api: Api, said: bytes, expected: int) -> None:
    async with connected(api.url, said) as (reader, _):
        answered = await answer(reader)
        assert status(answered) == expected
        assert b"application/problem+json" in answered
        assert b"connection: close" in answered.lower()


@together
async def test_a_slow_head_is_refused(orders: Orders, calm: Api) -> None:
    await _is_refused(calm, b"GET /health HTTP/1.1\r\nHos", HTTPStatus.REQUEST_TIMEOUT)


@together
async def test_a_slow_body_is_refused(orders: Orders, calm: Api) -> None:
    await _is_refused(calm, _POST, HTTPStatus.REQUEST_TIMEOUT)


@together
async def test_a_head_that_trickles_is_cut_off_all_the_same(orders: Orders, calm: Api) -> None:
    began = time.monotonic()
    async with connected(calm.url, HEALTH) as (reader, writer):
        await answer(reader)
        writer.write(b"GET /health HTTP/1.1\r\n")
        answering = asyncio.create_task(answer(reader))
        while not answering.done():
            writer.write(b"a: b\r\n")
            await asyncio.wait({answering}, timeout=0.5)
        assert status(await answering) == HTTPStatus.REQUEST_TIMEOUT
    assert time.monotonic() - began > 9


async def test_a_client_that_would_speak_http2_is_understood(api: Api) -> None:
    # As Java's own client does with each request.
    headers = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAE"}
    placed = await api.orders.start(new_id("plain"), headers=headers)
    assert placed.status_code == HTTPStatus.ACCEPTED, placed.text


async def test_trailers_are_no_headers(api: Api) -> None:
    said = (
        b"POST /orders/o-1/start HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"2\r\n{}\r\n0\r\nContent-Type: application/json\r\n\r\n"
    )
    async with connected(api.url, said) as (reader, _):
        assert status(await answer(reader)) == HTTPStatus.UNSUPPORTED_MEDIA_TYPE


async def test_who_leaves_in_the_middle_of_a_body_is_no_failure(orders: Orders) -> None:
    async def failures() -> dict[str, float]:
        metrics = await scrape(orders.fleet, "api")
        return {
            status: sum(metrics.values("orderfleet_http_requests_total", status=status))
            for status in ("499", "500")
        }

    before = await failures()
    for _ in range(20):
        async with connected(orders.fleet.api_url, _POST):
            await asyncio.sleep(0)
    after = await eventually(failures, lambda counts: counts["499"] >= before["499"] + 20)
    assert after["500"] == before["500"]


async def test_a_stopping_api_says_so_and_finishes(
    orders: Orders, unused_tcp_port_factory: Callable[[], int]
) -> None:
    await orders.fleet.stop("order-worker")
    try:
        async with run_api(orders, unused_tcp_port_factory, {}) as (process, http):
            url = str(http.base_url)
            order_id = new_id("plain")
            body = {"payment_id": f"pay-{order_id}", "address": HOME}
            await http.post(f"/orders/{order_id}/start", json=body)
            # It takes the 2 s that a change waits for a worker.
            waiting = asyncio.create_task(http.post(f"/orders/{order_id}/signals/cancel"))
            async with connected(url, HEALTH) as (idle, writer):
                assert b"connection: close" not in await answer(idle)
                await asyncio.sleep(0.3)
                process.signal(signal.SIGTERM)
                await process.until("stopping")
                # The answers on an open and on a new connection ask the client to close it.
                writer.write(HEALTH)
                async with connected(url, HEALTH) as (new, _):
                    for reader in (idle, new):
                        answered = await answer(reader)
                        assert status(answered) == HTTPStatus.SERVICE_UNAVAILABLE
                        assert b"connection: close" in answered
            left = await waiting
            assert left.status_code == HTTPStatus.ACCEPTED
            assert left.headers["Connection"] == "close"
            assert await process.end(seconds=15) == 0
    finally:
        await orders.fleet.start("order-worker")


@together
async def test_a_reader_that_never_reads_is_dropped(orders: Orders, calm: Api) -> None:
    said = b"GET /assets/swagger-ui-bundle.js HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 3
    with socket.socket() as lazy:
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        lazy.connect(("127.0.0.1", httpx.URL(calm.url).port))
        lazy.sendall(said)
        # It has 30 s. What says that it was dropped is an error of the connection.
        async with asyncio.timeout(60):
            while _takes(lazy):  # noqa: ASYNC110 (what ends it is in another process)
                await asyncio.sleep(0.5)


def _takes(lazy: socket.socket) -> bool:
    try:
        lazy.sendall(b"\r\n")
    except OSError:
        return False
    return True


@together
async def test_an_idle_connection_outlives_a_proxys_minute(orders: Orders, calm: Api) -> None:
    async with connected(calm.url, HEALTH) as (reader, writer):
        assert status(await answer(reader)) == HTTPStatus.OK
        # The header limit is 10 s; a proxy's own idle time 60.
        await asyncio.sleep(61)
        writer.write(HEALTH)
        assert status(await answer(reader)) == HTTPStatus.OK
