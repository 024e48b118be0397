"""One connection of the HTTP server: uvicorn's protocol, with bounds on a slow or greedy client.

What uvicorn leaves to a proxy, see `docs/decisions/0021-uvicorn-with-bounds-of-its-own.md`.
"""

import asyncio
import re
from http import HTTPStatus
from itertools import chain
from typing import Final

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from orderfleet_api.connections import Connections, Wait
from orderfleet_api.middleware.limits import (
    BODY_SECONDS,
    HEADER_SECONDS,
    LINGER_SECONDS,
    MAX_BODY_BYTES,
    MAX_HEADER_BYTES,
    MAX_HEADERS,
    MAX_URL_BYTES,
    SECURITY_HEADERS,
)

# Proxies keep their connections for 60 s (AWS, nginx) and must be the first to close: else they
# send a request on a connection that is closing, and lose it.
IDLE_SECONDS: Final = 75
# How long written bytes may wait for a client that does not read them.
_UNREAD_SECONDS: Final = 30.0
# Refused connections that may linger at once.
_REFUSED_CONNECTIONS: Final = 100
# Requests behind each other on one connection. uvicorn makes 4 kB of state for each, and one read
# of the socket can have 10,000 of them.
_MAX_PIPELINED: Final = 100
# What is sent beside the body: five bytes for each of the smallest chunks, and trailers. The body
# itself is the application's to bound.
_MAX_FRAMING_BYTES: Final = 7 * MAX_BODY_BYTES

_UPGRADE: Final = re.compile(rb"\r\n[Uu]pgrade:")


class HttpProtocol(HttpToolsProtocol):
    """A connection of a client that may be slow, silent or greedy."""

    server_state: Connections

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, or refuse it if there is no room."""
        # Bytes that were read of the current head, or beside the current body.
        self._bytes_read = 0
        self._in_body = False
        # After a refusal, and beyond the most pipelined requests.
        self._ignoring_input = False
        self._current: RequestResponseCycle | None = None
        self._admitted = self.server_state.admit()
        super().connection_made(transport)
        if self._admitted:
            self._wait(Wait.HEAD, HEADER_SECONDS)
            return
        error = self.server_state.bulkhead.refuse()
        self.refuse(HTTPStatus.SERVICE_UNAVAILABLE, error.detail)
        if len(self.connections) > self.server_state.bulkhead.limit + _REFUSED_CONNECTIONS:
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Make room for another connection."""
        self._done_waiting()
        self._release()
        if self._current is not None and not self._current.response_complete:
            # Of pipelined requests uvicorn notifies only the newest: the current would write on.
            self._current.disconnected = True
            self._current.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what has come, as far as it is not too much."""
        if self._ignoring_input:
            return
        self._bytes_read += len(data)
        if not self._in_body and b"pgrade:" in data:
            data = _without_upgrade(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._in_body:
            if self._bytes_read > _MAX_FRAMING_BYTES:
                self.drop("too large")
        elif self._bytes_read > MAX_HEADER_BYTES:
            self._refuse_head()

    # --- Called by the parser -------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Start the time of a request's head."""
        super().on_message_begin()
        self._in_body = False
        if not self._ignoring_input and not self._answering:
            self._wait(Wait.HEAD, HEADER_SECONDS)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; drop trailers, which come after the body."""
        if not self._in_body:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Begin to serve the request unless its head is too large."""
        if self._ignoring_input:
            return
        if len(self.url) > MAX_URL_BYTES:
            detail = f"The URL is longer than {MAX_URL_BYTES} bytes."
            self.refuse(HTTPStatus.REQUEST_URI_TOO_LONG, detail, "too large")
        elif len(self.headers) > MAX_HEADERS or (
            # Few heads need to be measured: mostly not even so many bytes have come.
            self._bytes_read > MAX_HEADER_BYTES
            and sum(map(len, chain.from_iterable(self.headers))) > MAX_HEADER_BYTES
        ):
            self._refuse_head()
        else:
            self._bytes_read = 0
            self._in_body = True
            super().on_headers_complete()
            if not self.pipeline:
                self._current = self.cycle
                # The application refuses it first, and lingers.
                self._wait(Wait.BODY, BODY_SECONDS + 2 * LINGER_SECONDS)
            elif len(self.pipeline) >= _MAX_PIPELINED:
                # Answer those that have come; the client sends the others on a new connection.
                self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """Pass a part of the body on."""
        if not self._ignoring_input:
            # After the answer nobody bounds the body, so all of it counts.
            if self._answering:
                self._bytes_read -= len(body)
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Stop the time of the client: now it waits for the answer."""
        self._bytes_read = 0
        self._in_body = False
        if self._ignoring_input:
            return
        super().on_message_complete()
        if len(self.pipeline) >= _MAX_PIPELINED:
            self._ignoring_input = True
        if self._answering:
            self._done_waiting()

    # --- Called as the answer is written --------------------------------------------------------

    def on_response_complete(self) -> None:
        """Start the time to read the answer, after which the connection is idle."""
        self._current = self.pipeline[-1][0] if self.pipeline else None
        super().on_response_complete()
        if self.transport.is_closing() or self._current is None:
            self._wait(Wait.READ, _UNREAD_SECONDS)

    def pause_writing(self) -> None:
        """Start the time of a client that does not read."""
        super().pause_writing()
        self._wait(Wait.READ, _UNREAD_SECONDS)

    def resume_writing(self) -> None:
        """Go on with an answer of which the client has read enough."""
        super().resume_writing()
        if self._answering:
            self._done_waiting()

    # --- The end --------------------------------------------------------------------------------

    def refuse(self, status: HTTPStatus, detail: str, reason: str = "") -> None:
        """Answer with a problem document, and ignore what else comes on this connection."""
        if self._ignoring_input:
            return
        if reason:
            self.server_state.closed[reason].inc()
        if self._answering:
            # The refusal would end up in the middle of another answer.
            self.transport.abort()
            return
        body = _problem(status, detail)
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            self.server_state.failures.answered("other", "other", status, body)
        self._ignoring_input = True
        self.transport.write(_head(status, body) + body)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._wait(Wait.GONE, LINGER_SECONDS)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 (uvicorn's own words)
        """Refuse what is no HTTP."""
        self.refuse(HTTPStatus.BAD_REQUEST, "The request is not valid HTTP/1.1.", "not HTTP")

    def drop(self, reason: str) -> None:
        """Close without an answer, whatever is still to be sent or read."""
        self.server_state.closed[reason].inc()
        self._done_waiting()
        # The loop reports the end later, and its place is needed now.
        self._release()
        self.transport.abort()

    def expire(self) -> None:
        """End the wait for the client."""
        waited, _ = self.server_state.waiting[self]
        match waited:
            case Wait.READ if not self.transport.get_write_buffer_size():
                # The answer was read, so the connection is idle; uvicorn closes it. It keeps its
                # place among those that wait.
                until = self.loop.time() + IDLE_SECONDS
                self.server_state.waiting[self] = Wait.NEXT, until
            case Wait.READ:
                self.drop("unread answer")
            case Wait.HEAD if self._bytes_read:
                detail = f"The headers were not received within {HEADER_SECONDS} s."
                self.refuse(HTTPStatus.REQUEST_TIMEOUT, detail, "slow head")
            case Wait.HEAD:
                self.drop("slow head")
            case Wait.BODY:
                self.drop("slow body")
            case _:
                self._done_waiting()
                self.transport.abort()

    @property
    def _answering(self) -> bool:
        # uvicorn's types leave out that there is none at first.
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    def _refuse_head(self) -> None:
        detail = f"There are more than {MAX_HEADERS} headers or {MAX_HEADER_BYTES} bytes of them."
        self.refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, detail, "too large")

    def _wait(self, what: Wait, seconds: float) -> None:
        waiting = self.server_state.waiting
        waiting.pop(self, None)
        waiting[self] = what, self.loop.time() + seconds

    def _done_waiting(self) -> None:
        self.server_state.waiting.pop(self, None)

    def _release(self) -> None:
        if self._admitted:
            self._admitted = False
            self.server_state.bulkhead.leave()


def _problem(status: HTTPStatus, detail: str) -> bytes:
    document = {"status": status, "title": status.phrase, "type": "about:blank", "detail": detail}
    return msgspec.json.encode(document)


def _head(status: HTTPStatus, body: bytes) -> bytes:
    lines = [
        f"HTTP/1.1 {status.value} {status.phrase}".encode(),
        *(name + b": " + value for name, value in SECURITY_HEADERS),
        b"content-type: application/problem+json",
        b"content-length: %d" % len(body),
        b"connection: close",
    ]
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        lines.append(b"retry-after: 1")
    return b"\r\n".join([*lines, b"", b""])


def _without_upgrade(data: bytes) -> bytes:
    """Rename the header `Upgrade`, which Java's client sends with each request over plain HTTP.

    There is nothing to upgrade to, and the parser would take the body for another protocol's.
    """
    head, end, rest = data.partition(b"\r\n\r\n")
    return _UPGRADE.sub(b"\r\nx-ignored:", head) + end + rest
