"""The connections of the HTTP server: how many, and how slow the other side may be.

uvicorn bounds how long an idle connection is kept and nothing else. This is its protocol with the
bounds that it leaves to a proxy, see `docs/decisions/0021-uvicorn-with-bounds-of-its-own.md`.
"""

import asyncio
import re
from enum import Enum, auto
from http import HTTPStatus
from itertools import chain
from typing import Final

import msgspec
from prometheus_client import CollectorRegistry, Counter
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from orderfleet_api.bulkheads import Bulkhead
from orderfleet_api.failures import FailureLog
from orderfleet_api.middleware.limits import (
    BODY_SECONDS,
    HEADER_SECONDS,
    MAX_BODY_BYTES,
    MAX_HEADER_BYTES,
    MAX_HEADERS,
    MAX_URL_BYTES,
    SECURITY_HEADERS,
)

# Proxies keep theirs for 60 s (AWS, nginx) and must be the first to close one: else they send a
# request on it that is lost.
IDLE_SECONDS: Final = 75
# How long written bytes may wait for a client that does not read them.
_UNREAD_SECONDS: Final = 30.0
# After a refusal the other side may go on talking for so long: a connection that is closed before
# all is read resets, and the refusal is lost on the way.
_LINGER_SECONDS: Final = 2.0
# So many of those that are refused are listened to until then.
_REFUSED_CONNECTIONS: Final = 100
# Behind each other on one connection. uvicorn makes 4 kB of state for each, and one read of the
# socket can have 10,000 of them.
_MAX_PIPELINED: Final = 100
# A body as it is sent: in chunks of one byte it is six times as large. The rest are trailers.
_MAX_RAW_BODY_BYTES: Final = 8 * MAX_BODY_BYTES


_UPGRADE: Final = re.compile(rb"\r\n[Uu]pgrade:")
_REASONS: Final = ("made room", "slow head", "slow body", "unread answer", "too large", "not HTTP")


class Wait(Enum):
    """What a connection waits for its client for."""

    HEAD = auto()
    BODY = auto()
    READ = auto()
    NEXT = auto()
    GONE = auto()


class Connections(ServerState):
    """All of them; those that wait for their client are known, as they are the ones to close."""

    def __init__(
        self, bulkhead: Bulkhead, failures: FailureLog, registry: CollectorRegistry
    ) -> None:
        super().__init__()
        self.bulkhead = bulkhead
        self.failures = failures
        # The one that has waited longest first, with what it waits for and until when.
        self.waiting: dict[Connection, tuple[Wait, float]] = {}
        closed = Counter(
            "orderfleet_http_connections_closed_total",
            "Closed by the server before their client did, by reason.",
            ["reason"],
            registry=registry,
        )
        self.closed = {reason: closed.labels(reason) for reason in _REASONS}

    def admit(self) -> bool:
        """Tell whether there is room for one more; who waits longest for its client makes it."""
        while self.bulkhead.in_use >= self.bulkhead.limit and self.waiting:
            next(iter(self.waiting)).drop("made room")
        if self.bulkhead.in_use >= self.bulkhead.limit:
            return False
        self.bulkhead.enter()
        return True

    def sweep(self) -> None:
        """Close those whose client has been waited for long enough."""
        now = asyncio.get_running_loop().time()
        for connection, (_, until) in list(self.waiting.items()):
            if until <= now:
                connection.expire()
        self.failures.flush()


class Connection(HttpToolsProtocol):
    """A connection of a client that may be slow, silent or greedy."""

    server_state: Connections

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take it, or refuse it if there are too many that are served."""
        self._fed = 0
        self._body_follows = False
        self._deaf = False
        self._running: RequestResponseCycle | None = None
        self._admitted = self.server_state.admit()
        super().connection_made(transport)
        if self._admitted:
            self._wait(Wait.HEAD, HEADER_SECONDS)
            return
        refused = self.server_state.bulkhead.refuse()
        self.refuse(HTTPStatus.SERVICE_UNAVAILABLE, refused.detail)
        if len(self.connections) > self.server_state.bulkhead.limit + _REFUSED_CONNECTIONS:
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Make room."""
        self._done_waiting()
        self._release()
        if self._running is not None and not self._running.response_complete:
            # uvicorn tells only the newest of pipelined requests, and another one would write on.
            self._running.disconnected = True
            self._running.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what has come, as far as it is not too much."""
        if self._deaf:
            return
        self._fed += len(data)
        if not self._body_follows and b"pgrade:" in data:
            data = _without_upgrade(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._body_follows:
            if self._fed > _MAX_RAW_BODY_BYTES:
                self.drop("too large")
        elif self._fed > MAX_HEADER_BYTES:
            self._refuse_head()

    # --- What the parser finds -----------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Give the head of a request its time."""
        super().on_message_begin()
        self._body_follows = False
        if not self._deaf and not self._answering:
            self._wait(Wait.HEAD, HEADER_SECONDS)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; trailers, after the body, are no headers."""
        if not self._body_follows:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Begin to serve the request unless its head is too large."""
        if self._deaf:
            return
        if len(self.url) > MAX_URL_BYTES:
            detail = f"at most {MAX_URL_BYTES} bytes of URL"
            self.refuse(HTTPStatus.REQUEST_URI_TOO_LONG, detail, "too large")
        elif len(self.headers) > MAX_HEADERS or (
            # Most heads need not be measured, as not so much has come at all.
            self._fed > MAX_HEADER_BYTES
            and sum(map(len, chain.from_iterable(self.headers))) > MAX_HEADER_BYTES
        ):
            self._refuse_head()
        else:
            self._fed = 0
            self._body_follows = True
            super().on_headers_complete()
            if not self.pipeline:
                self._running = self.cycle
                self._wait(Wait.BODY, BODY_SECONDS + _LINGER_SECONDS)
            elif len(self.pipeline) >= _MAX_PIPELINED:
                # Those that have come are answered; the others are for another connection.
                self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """Hand on a part of the body."""
        if not self._deaf:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """From here on it is not the client who is waited for."""
        self._fed = 0
        self._body_follows = False
        if self._deaf:
            return
        super().on_message_complete()
        if len(self.pipeline) >= _MAX_PIPELINED:
            self._deaf = True
        if self._answering:
            self._done_waiting()

    # --- What becomes of the answer ------------------------------------------------------------

    def on_response_complete(self) -> None:
        """Give the client its time to read the answer, then to ask for the next thing."""
        self._running = self.pipeline[-1][0] if self.pipeline else None
        super().on_response_complete()
        if self.transport.is_closing() or self._running is None:
            self._wait(Wait.READ, _UNREAD_SECONDS)

    def pause_writing(self) -> None:
        """Give a client that does not read its time."""
        super().pause_writing()
        self._wait(Wait.READ, _UNREAD_SECONDS)

    def resume_writing(self) -> None:
        """Go on with an answer of which enough was read."""
        super().resume_writing()
        if self._answering:
            self._done_waiting()

    # --- The end -------------------------------------------------------------------------------

    def refuse(self, status: HTTPStatus, detail: str, reason: str = "") -> None:
        """Answer with a problem, and take nothing more from this connection."""
        if self._deaf:
            return
        if reason:
            self.server_state.closed[reason].inc()
        if self._answering:
            # It would end up in the middle of another answer.
            self.transport.abort()
            return
        document = {"status": status, "title": status.phrase, "type": "about:blank"}
        body = msgspec.json.encode(document | {"detail": detail})
        lines = [
            f"HTTP/1.1 {status.value} {status.phrase}".encode(),
            *(name + b": " + value for name, value in SECURITY_HEADERS),
            b"content-type: application/problem+json",
            b"content-length: %d" % len(body),
            b"connection: close",
        ]
        if status is HTTPStatus.SERVICE_UNAVAILABLE:
            lines.append(b"retry-after: 1")
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            self.server_state.failures.answered("other", "other", status, body)
        self._deaf = True
        self.transport.write(b"\r\n".join([*lines, b"", body]))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._wait(Wait.GONE, _LINGER_SECONDS)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 (uvicorn's own words)
        """Refuse what is no HTTP."""
        self.refuse(HTTPStatus.BAD_REQUEST, "this is not HTTP/1.1", "not HTTP")

    def drop(self, reason: str) -> None:
        """Close without a word, whatever is still to be sent or read."""
        self.server_state.closed[reason].inc()
        self._done_waiting()
        # The loop tells of the end later, and the place is needed now.
        self._release()
        self.transport.abort()

    def expire(self) -> None:
        """Do what is due, as the client has been waited for long enough."""
        waited, _ = self.server_state.waiting[self]
        match waited:
            case Wait.READ if not self.transport.get_write_buffer_size():
                # The answer was read, so this is an idle connection; uvicorn closes it.
                # It keeps its place among those that wait.
                until = self.loop.time() + IDLE_SECONDS
                self.server_state.waiting[self] = Wait.NEXT, until
            case Wait.READ:
                self.drop("unread answer")
            case Wait.HEAD if self._fed:
                detail = f"no whole head of a request within {HEADER_SECONDS} s"
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
        detail = f"at most {MAX_HEADERS} headers and {MAX_HEADER_BYTES} bytes of them"
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


def _without_upgrade(data: bytes) -> bytes:
    """Rename the header `Upgrade`, which Java's client sends with each request over plain HTTP.

    There is nothing to upgrade to, and the parser would take the body for another protocol's.
    """
    head, end, rest = data.partition(b"\r\n\r\n")
    return _UPGRADE.sub(b"\r\nx-ignored:", head) + end + rest
