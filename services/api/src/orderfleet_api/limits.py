"""What a request may be and take: its content type, its time; and the headers of every answer."""

import asyncio
from collections.abc import Iterable
from http import HTTPStatus
from typing import Final

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

    A body of another type is refused, one that does not come is given up. Litestar takes a plain
    function for a middleware too: its class for one adds three calls to each request.
    """

    async def handle(scope: Scope, receive: Receive, send: Send) -> None:
        deadline = asyncio.get_running_loop().time() + BODY_SECONDS
        complete = False

        async def bounded() -> ReceiveMessage:
            nonlocal complete
            if complete:
                return await receive()
            # Before it is read. Most requests have none, and never come here.
            _only_json(scope["headers"])
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
            # Here and not by the framework's own option, which leaves errors out.
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_HEADERS]
            await send(message)

        await app(scope, bounded, with_headers)

    return handle


def _only_json(headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Refuse a body that is not said to be JSON."""
    named = dict(headers)
    if named.get(b"content-length", b"0") == b"0" and b"transfer-encoding" not in named:
        return
    media_type = named.get(b"content-type", b"").split(b";", 1)[0].strip().lower()
    if media_type != b"application/json" and not media_type.endswith(b"+json"):
        raise problems.problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the body must be application/json"
        )
