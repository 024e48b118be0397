"""What a request may be and take: its content type, its time; and the headers of every answer."""

import asyncio
from http import HTTPStatus
from typing import Any, Final

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.middleware import ASGIMiddleware
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


async def only_json(
    connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler
) -> None:
    """Refuse a body that is not said to be JSON, before it is read.

    Not a plain function, though it waits for nothing: Litestar would run that in a thread, which
    costs a request more than all that the guard does.
    """
    headers = connection.headers
    if headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers:
        return
    media_type = headers.get("content-type", "").split(";", 1)[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise problems.problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the body must be application/json"
        )


class Limits(ASGIMiddleware):
    """Gives up a request whose body does not come; puts the security headers on every answer."""

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Bound the time until the last part of the body."""
        deadline = asyncio.get_running_loop().time() + BODY_SECONDS
        complete = False

        async def bounded() -> ReceiveMessage:
            nonlocal complete
            if complete:
                return await receive()
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

        await next_app(scope, bounded, with_headers)
