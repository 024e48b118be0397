"""Server-sent events: their text, and the answer that sends them."""

from collections.abc import AsyncIterator
from typing import Any, Final

from litestar.response import Stream
from litestar.types import Receive, Scope, Send

from orderfleet_api.bulkheads import Bulkhead

MEDIA_TYPE: Final = "text/event-stream"
# Proxies close a connection that is silent for a minute.
KEEP_ALIVE_SECONDS: Final = 15.0
# An order ends within 15 s, its refund whenever the gateway allows; an API key may be removed. The
# client reconnects.
STREAM_SECONDS: Final = 300.0
# After which the client reconnects; the default of browsers is 3 to 5 s.
_RETRY_MILLISECONDS: Final = 2000

TOO_SLOW: Final = b": read too slowly; reconnect with Last-Event-ID\r\n\r\n"


def first(cursor: int | None = None) -> bytes:
    """Return what a stream begins with: when to reconnect, and from where."""
    place = "" if cursor is None else f"id: {cursor}\r\n"
    return f"retry: {_RETRY_MILLISECONDS}\r\n{place}\r\n".encode()


def message(cursor: int, event: str, data: bytes) -> bytes:
    """Return an event. JSON as msgspec writes it has no line break."""
    return b"id: %d\r\nevent: %s\r\ndata: %s\r\n\r\n" % (cursor, event.encode(), data)


def keep_alive(cursor: int | None = None) -> bytes:
    """Return what keeps a connection open.

    An id without data is no event. It sets the client's last event id, so that a client that
    wants few events does not begin far back.
    """
    place = "" if cursor is None else f"id: {cursor}\r\n"
    return f": keep-alive\r\n{place}\r\n".encode()


class EventStream(Stream):
    """A stream that holds a place in its bulkhead from the begin of the answer to its end."""

    def __init__(self, events: AsyncIterator[bytes], streams: Bulkhead) -> None:
        # Not Litestar's ServerSentEvent, which starts each stream in a thread.
        super().__init__(events, media_type=MEDIA_TYPE, headers={"X-Accel-Buffering": "no"})
        self._streams = streams

    def to_asgi_response(self, *args: Any, **options: Any) -> Any:
        """Return the application that sends the stream, or answers with 503."""
        stream = super().to_asgi_response(*args, **options)

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            async with self._streams:
                await stream(scope, receive, send)

        return answer
