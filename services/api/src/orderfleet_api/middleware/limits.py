"""What a request may be and take: its content type, its time; and the headers of every answer."""

import asyncio
from http import HTTPStatus
from typing import Final

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from litestar.types.asgi_types import ReceiveMessage

from orderfleet_api import errors
from orderfleet_api.middleware.heads import has_body

# No order comes near it: a hundred items of full lines are 60 kB.
MAX_BODY_BYTES: Final = 128 * 1024
MAX_HEADER_BYTES: Final = 32 * 1024
MAX_HEADERS: Final = 100
# What proxies take in one line (nginx, Apache); ours are shorter than 300.
MAX_URL_BYTES: Final = 8 * 1024
HEADER_SECONDS: Final = 10
# The whole body; at 128 KiB that is a modem's speed.
BODY_SECONDS: Final = 10.0

SECURITY_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)


def limited(app: ASGIApp, stopping: asyncio.Event) -> ASGIApp:
    """Return the application with its bodies looked at, and with headers on every answer.

    A body of another type is refused, one that does not come is given up. Once the process is asked
    to stop, each answer tells its client to leave the connection. Around the whole application, not
    a middleware within it: that never sees a request that no route takes, and Litestar puts one
    more layer of its own around each route that has any.
    """

    async def handle(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == ScopeType.HTTP:
            request = _Request(scope, receive, send, stopping)
            await app(scope, request.receive, request.send)
        else:
            await app(scope, receive, send)

    return handle


class _Request:
    """A request whose body is looked at and whose answer gets its headers."""

    __slots__ = ("_complete", "_deadline", "_gone", "_receive", "_scope", "_send", "_stopping")

    def __init__(self, scope: Scope, receive: Receive, send: Send, stopping: asyncio.Event) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._stopping = stopping
        self._deadline = asyncio.get_running_loop().time() + BODY_SECONDS
        self._complete = False
        self._gone = False

    async def receive(self) -> ReceiveMessage:
        """Return the next part of the body, or what comes after it."""
        if self._complete:
            return await self._receive()
        # Before it is read. Most requests have none, and never come here.
        _only_json(self._scope)
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError:
            raise errors.problem(
                HTTPStatus.REQUEST_TIMEOUT, f"no whole body within {BODY_SECONDS:g} s"
            ) from None
        if message["type"] == "http.disconnect":
            self._gone = True
            raise errors.problem(HTTPStatus.BAD_REQUEST, "the client left before its body")
        self._complete = not message.get("more_body")
        return message

    async def send(self, message: Message) -> None:
        """Send a part of the answer."""
        if self._gone:
            # Nobody hears it, and whoever counts requests is not told of an answer.
            return
        if message["type"] == "http.response.start":
            headers = [*message["headers"], *SECURITY_HEADERS]
            if self._stopping.is_set() or self._unread(message["status"]):
                headers.append((b"connection", b"close"))
            message["headers"] = headers
        await self._send(message)

    def _unread(self, status: int) -> bool:
        """Tell whether the rest of a refused body is still to come.

        The server will close then, and a client that is not told would use the connection again.
        """
        return (
            status >= HTTPStatus.BAD_REQUEST
            and not self._complete
            and has_body(self._scope["headers"])
        )


def _only_json(scope: Scope) -> None:
    """Refuse a body that is not said to be JSON."""
    content_type = dict(scope["headers"]).get(b"content-type", b"")
    media_type = content_type.split(b";", 1)[0].strip().lower()
    json = media_type == b"application/json" or media_type.endswith(b"+json")
    if has_body(scope["headers"]) and not json:
        raise errors.problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the body must be application/json")
