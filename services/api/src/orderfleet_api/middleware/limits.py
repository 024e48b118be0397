"""Bounds of a request: its content type, its time. And the headers of every answer."""

import asyncio
import contextlib
from http import HTTPStatus
from typing import Final

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from litestar.types.asgi_types import ReceiveMessage

from orderfleet_api import errors
from orderfleet_api.middleware.heads import has_body

# A hundred items of full length are 60 kB.
MAX_BODY_BYTES: Final = 128 * 1024
MAX_HEADER_BYTES: Final = 32 * 1024
MAX_HEADERS: Final = 100
# What proxies take in one line (nginx, Apache); ours are shorter than 300.
MAX_URL_BYTES: Final = 8 * 1024
HEADER_SECONDS: Final = 10
# For the whole body: 128 KiB at a modem's speed.
BODY_SECONDS: Final = 10.0
# How long a refused client may go on sending: closing before all is read resets the connection,
# and the refusal may be lost with it (RFC 9112, 9.6).
LINGER_SECONDS: Final = 2.0

SECURITY_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)


def limited(app: ASGIApp, stopping: asyncio.Event) -> ASGIApp:
    """Return the application behind the bounds, with the headers on every answer.

    A body that is not JSON is refused, a body that does not arrive in time is given up. Once the
    process stops, each answer asks its client to close the connection. Around the whole
    application: a middleware of Litestar's never sees a request that no route takes.
    """

    async def handle(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == ScopeType.HTTP:
            request = _Request(scope, receive, send, stopping)
            await app(scope, request.receive, request.send)
            await request.linger()
        else:
            await app(scope, receive, send)

    return handle


class _Request:
    """A request whose body is bounded and whose answer gets the headers."""

    __slots__ = (
        "_complete",
        "_deadline",
        "_gone",
        "_lingering",
        "_receive",
        "_scope",
        "_send",
        "_stopping",
    )

    def __init__(self, scope: Scope, receive: Receive, send: Send, stopping: asyncio.Event) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._stopping = stopping
        self._deadline = asyncio.get_running_loop().time() + BODY_SECONDS
        self._complete = False
        self._gone = False
        self._lingering = False

    async def receive(self) -> ReceiveMessage:
        """Return the next part of the body, or what comes after it."""
        if self._complete:
            return await self._receive()
        # Before the body is read. A request without a body mostly never gets here.
        _only_json(self._scope)
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError:
            raise errors.problem(
                HTTPStatus.REQUEST_TIMEOUT, f"The body was not received within {BODY_SECONDS:g} s."
            ) from None
        self._complete = _is_last(message)
        if message["type"] == "http.disconnect":
            self._gone = True
            raise errors.problem(
                HTTPStatus.BAD_REQUEST, "The client disconnected before its body was complete."
            )
        return message

    async def send(self, message: Message) -> None:
        """Send a part of the answer."""
        if self._gone:
            # The client has left: no answer is sent, and none is counted.
            return
        if message["type"] == "http.response.start":
            own = {name for name, _ in message["headers"]}
            added = (header for header in SECURITY_HEADERS if header[0] not in own)
            headers = [*message["headers"], *added]
            self._lingering = self._unread(message["status"])
            if self._stopping.is_set() or self._lingering:
                headers.append((b"connection", b"close"))
            message["headers"] = headers
        elif self._lingering and message["type"] == "http.response.body":
            # The server closes the connection with the last part: it is left to `linger`.
            message["more_body"] = True
        await self._send(message)

    async def linger(self) -> None:
        """Read what a refused client still sends, for a while, and end the answer."""
        if not self._lingering:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                while not self._complete:
                    self._complete = _is_last(await self._receive())
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    def _unread(self, status: int) -> bool:
        """Return whether the rest of a refused body is still to come.

        The server closes the connection then, so the client must not use it again.
        """
        return (
            status >= HTTPStatus.BAD_REQUEST
            and not self._complete
            and has_body(self._scope["headers"])
        )


def _is_last(message: ReceiveMessage) -> bool:
    return message["type"] == "http.disconnect" or not message.get("more_body")


def _only_json(scope: Scope) -> None:
    """Refuse a body that is not declared as JSON."""
    content_type = dict(scope["headers"]).get(b"content-type", b"")
    media_type = content_type.split(b";", 1)[0].strip().lower()
    json = media_type == b"application/json" or media_type.endswith(b"+json")
    if has_body(scope["headers"]) and not json:
        raise errors.problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "The body must be application/json."
        )
