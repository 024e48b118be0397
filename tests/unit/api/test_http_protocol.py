"""The HTTP server on a socket, with a small application: what it refuses, and how it answers."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, NoReturn

import pytest
from prometheus_client import CollectorRegistry

from orderfleet.runtime.process import Lifecycle
from orderfleet_api.bulkheads import Bulkhead
from orderfleet_api.connections import Connections
from orderfleet_api.failure_log import FailureLog
from orderfleet_api.middleware.limits import limited
from orderfleet_api.server import serve_http
from orderfleet_api.settings import ApiSettings

_GET = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
_CLOSE = b"GET /last HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answer with the path, the names of the headers and the body."""
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    names = b",".join(name for name, _ in scope["headers"])
    content = b" ".join((scope["path"].encode(), names, body))
    headers = [(b"content-length", b"%d" % len(content))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})


async def refuse(scope: Any, receive: Any, send: Any) -> None:
    """Refuse each request without reading its body."""
    headers = [(b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": b"no"})


class Server:
    """A server that runs."""

    def __init__(self, port: int, registry: CollectorRegistry, lifecycle: Lifecycle) -> None:
        self.port = port
        self.registry = registry
        self.lifecycle = lifecycle

    async def answers(self, request: bytes) -> bytes:
        """Return all that comes back until the connection ends."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(request)
            async with asyncio.timeout(20):
                return await reader.read()
        finally:
            writer.close()

    def closed(self, reason: str) -> float | None:
        name = "orderfleet_http_connections_closed_total"
        return self.registry.get_sample_value(name, {"reason": reason})


@asynccontextmanager
async def running(port: int, *, connections: int = 100, app: Any = echo) -> AsyncIterator[Server]:
    settings = ApiSettings(api_port=port, api_connections=connections, api_streams=1)
    registry, lifecycle = CollectorRegistry(), Lifecycle()
    bulkhead = Bulkhead("connections", connections)
    register = Connections(bulkhead, FailureLog(), registry)
    serving = asyncio.create_task(serve_http(app, settings, lifecycle, register))
    async with asyncio.timeout(20):
        while not lifecycle.started:  # noqa: ASYNC110 (a flag for probes, no event)
            await asyncio.sleep(0.01)
    try:
        yield Server(port, registry, lifecycle)
    finally:
        lifecycle.request_shutdown()
        await serving
    assert bulkhead.in_use == 0


@pytest.mark.parametrize(
    ("request_", "status", "reason"),
    [
        pytest.param(
            b"GET /" + b"a" * 9_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414, "too large", id="URL"
        ),
        pytest.param(
            b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 101 + b"\r\n", 431, "too large", id="many headers"
        ),
        pytest.param(
            b"GET / HTTP/1.1\r\na: " + b"b" * 33_000 + b"\r\n\r\n", 431, "too large", id="header"
        ),
        pytest.param(b"GET / HTTP/1.1\r\na: " + b"b" * 400_000, 431, "too large", id="endless"),
        pytest.param(
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, "not HTTP", id="TLS"
        ),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "not HTTP", id="HTTP/2"),
    ],
)
async def test_a_request_out_of_bounds_is_refused_with_a_problem(
    unused_tcp_port: int, request_: bytes, status: int, reason: str
) -> None:
    async with running(unused_tcp_port) as server:
        answer = await server.answers(request_)
        assert answer.startswith(b"HTTP/1.1 %d " % status)
        assert b"content-type: application/problem+json" in answer
        assert b"connection: close" in answer
        assert b'"detail":"' in answer
        assert server.closed(reason) == 1


async def test_pipelined_requests_are_answered_in_order(unused_tcp_port: int) -> None:
    paths = [b"/%d" % number for number in range(20)]
    requests = b"".join(_GET.replace(b"/health", path) for path in paths)
    async with running(unused_tcp_port) as server:
        answer = await server.answers(requests + _CLOSE)
    places = [answer.index(b"\r\n\r\n%s host" % path) for path in paths]
    assert places == sorted(places)
    assert answer.count(b"HTTP/1.1 200") == 21


async def test_too_many_pipelined_requests_end_the_connection(unused_tcp_port: int) -> None:
    async with running(unused_tcp_port) as server:
        answer = await server.answers(_GET * 150)
    assert 100 <= answer.count(b"HTTP/1.1 200") < 150
    assert b"connection: close" in answer


async def test_an_upgrade_is_ignored_and_a_trailer_dropped(unused_tcp_port: int) -> None:
    head = b"POST /o HTTP/1.1\r\nHost: localhost\r\nConnection: close, Upgrade\r\n"
    async with running(unused_tcp_port) as server:
        sized = head + b"Upgrade: h2c\r\nContent-Length: 2\r\n\r\n{}"
        assert (await server.answers(sized)).endswith(b" {}")
        chunked = head + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX-Trailer: a\r\n\r\n"
        answer = await server.answers(chunked)
    assert answer.endswith(b" {}")
    assert b"x-trailer" not in answer


async def test_a_silent_connection_makes_room(
    unused_tcp_port_factory: Callable[[], int],
) -> None:
    port = unused_tcp_port_factory()
    async with running(port, connections=10) as server:
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(30)]
        assert b"HTTP/1.1 200" in await server.answers(_CLOSE)
        assert server.closed("made room") == 21
        for _, writer in silent:
            writer.close()


async def test_a_large_body_is_the_applications_to_refuse(unused_tcp_port: int) -> None:
    body = b"a" * 3 * 1024 * 1024
    head = b"POST /o HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    chunks = b"".join(b"10000\r\n%s\r\n" % body[:65536] for _ in range(48)) + b"0\r\n\r\n"
    async with running(unused_tcp_port) as server:
        sized = await server.answers(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        chunked = await server.answers(head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks)
    assert sized.endswith(b" " + body)
    assert chunked.endswith(b" " + body)


async def test_a_body_of_little_but_chunks_ends_the_connection(unused_tcp_port: int) -> None:
    head = b"POST /o HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with running(unused_tcp_port) as server:
        with pytest.raises(ConnectionError):
            await server.answers(head + b"1\r\na\r\n" * 400_000)
        assert server.closed("too large") == 1


_REFUSED = b"POST /o HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    ("head", "parts"),
    [
        pytest.param(b"Content-Length: 4\r\n\r\n", [b"{", b" ", b" ", b"}"], id="in parts"),
        pytest.param(
            b"Transfer-Encoding: chunked\r\n\r\n",
            [b"1\r\n{\r\n", b"1\r\n}\r\n", b"0\r\n\r\n"],
            id="in chunks",
        ),
        pytest.param(b"Content-Length: 8000000\r\n\r\n", [b" " * 2_000_000] * 4, id="large"),
        pytest.param(b"Content-Length: 400\r\n\r\n", [b"{"], id="never whole"),
    ],
)
async def test_who_is_refused_before_the_body_gets_the_answer_and_no_reset(
    unused_tcp_port: int, head: bytes, parts: list[bytes]
) -> None:
    app = limited(refuse, asyncio.Event())
    async with running(unused_tcp_port, app=app) as server, asyncio.timeout(20):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(_REFUSED + head)
        answer = await reader.readuntil(b"\r\n\r\nno")
        for part in parts:
            writer.write(part)
            await writer.drain()
            # Each in a packet of its own, after the answer.
            await asyncio.sleep(0.2)
        assert await reader.read() == b""
        writer.close()
    assert answer.startswith(b"HTTP/1.1 403")
    assert b"connection: close" in answer


async def test_who_sends_for_ever_after_a_refusal_is_cut_off(unused_tcp_port: int) -> None:
    app = limited(refuse, asyncio.Event())
    async with running(unused_tcp_port, app=app) as server, asyncio.timeout(20):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(_REFUSED + b"Content-Length: 10000000000000\r\n\r\n")
        await reader.readuntil(b"\r\n\r\nno")
        with pytest.raises(ConnectionError):
            await _send_for_ever(writer)


async def _send_for_ever(writer: asyncio.StreamWriter) -> NoReturn:
    while True:
        writer.write(b" " * 65536)
        await writer.drain()
