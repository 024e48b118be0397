"""What a request may be and take: its content type, its time; and the headers of every answer."""

import asyncio
from http import HTTPStatus
from typing import Final

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from litestar.types.asgi_types import ReceiveMessage

from orderfleet_api import problems

# No order comes near it: a hundred items of full lines are 60 kB.
MAX_BODY_BYTES: Final = 128 * 1024
MAX_HEADER_BYTES: Final = 32 * 1024
HEADER_SECONDS: Final = 10
# The whole body; at 128 KiB that is a modem's speed.
BODY_SECONDS: Final = 10.0

_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)


def limited(app: ASGIApp) -> ASGIApp:
    """Return the application with its bodies looked at, and with headers on every answer.

    A body of another type is refused, one that does not come is given up. Around the whole
    application, not a middleware within it: that never sees a request that no route takes, and
    Litestar puts one more layer of its own around each route that has any.
    """

    async def handle(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await app(scope, receive, send)
            return
        deadline = asyncio.get_running_loop().time() + BODY_SECONDS
        complete = False

        async def bounded() -> ReceiveMessage:
            nonlocal complete
            if complete:
                return await receive()
            # Before it is read. Most requests have none, and never come here.
            _only_json(scope)
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                raise problems.problem(
                    HTTPStatus.REQUEST_TIMEOUT, f"no whole body within {BODY_SECONDS:g} s"
                ) from None
            complete = message["type"] != "http.request" or not message.get("more_body")
            return message

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [*message["headers"], *_HEADERS]
                if (
                    message["status"] >= HTTPStatus.BAD_REQUEST
                    and not complete
                    and _has_body(scope)
                ):
                    # The rest of the body is still to come: the server will close, and a client
                    # that is not told would use the connection again.
                    headers.append((b"connection", b"close"))
                message["headers"] = headers
            await send(message)

        await app(scope, bounded, with_headers)

    return handle


def _only_json(scope: Scope) -> None:
    """Refuse a body that is not said to be JSON."""
    content_type = dict(scope["headers"]).get(b"content-type", b"")
    media_type = content_type.split(b";", 1)[0].strip().lower()
    json = media_type == b"application/json" or media_type.endswith(b"+json")
    if _has_body(scope) and not json:
        raise problems.problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the body must be application/json"
        )


def _has_body(scope: Scope) -> bool:
    headers = dict(scope["headers"])
    return headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers
