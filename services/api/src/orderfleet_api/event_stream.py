"""The audit trail of an order as server-sent events, until no more can follow.

All streams share one poll of Postgres: a statement every half second covers all their orders, and a
stream reads its order only when that has changed.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from typing import Any, Final

import msgspec
from litestar import Response
from litestar.plugins.problem_details import ProblemDetailsException
from litestar.response import ServerSentEventMessage, Stream
from litestar.types import Receive, Scope, Send

from orderfleet.domain.orders import OrderState
from orderfleet.domain.payments import PaymentStatus
from orderfleet.store import queries
from orderfleet.store.queries import EventRow, OrderRecord
from orderfleet_api import errors
from orderfleet_api.backends import Backends, postgres
from orderfleet_api.bulkheads import Bulkhead

# An order takes seconds.
_POLL_SECONDS: Final = 0.5
# Proxies close a connection that is silent for a minute.
_KEEP_ALIVE_SECONDS: Final = 15.0
# An order ends within 15 s, its refund whenever the gateway allows: the client reconnects for it.
_STREAM_SECONDS: Final = 300.0
# After which the client reconnects; the default of browsers is 3 to 5 s.
_RETRY_MILLISECONDS: Final = 2000
# Concurrent reads of changed orders: many streams must not queue up before all other readers.
_READS: Final = 2


class EventStreams:
    """The streams of this process, and their common poll of Postgres."""

    def __init__(self, backends: Backends) -> None:
        self._backends = backends
        self._reading = asyncio.Semaphore(_READS)
        # By order: the events to set when it changes, and its mark at the last poll.
        self._listeners: dict[str, set[asyncio.Event]] = {}
        self._marks: dict[str, str] = {}
        self._polling: asyncio.Task[None] | None = None

    async def open(self, order_id: str, *, after: int) -> Response[Any]:
        """Answer with the events from number `after` + 1 on, or with 204 if none can follow.

        A client that reconnects with `Last-Event-ID` misses nothing and gets nothing twice.

        Raises:
            ProblemDetailsException: there is no such order, or Postgres is busy or unavailable;
                later, as the answer begins: there are too many streams.
        """
        record = await self._read(order_id, after)
        if not record.events and _is_complete(record):
            # 204 stops an EventSource from reconnecting.
            return Response(None, status_code=HTTPStatus.NO_CONTENT)
        return _EventStream(self._events(record, after), self._backends.bulkheads.streams)

    async def _events(self, record: OrderRecord, after: int) -> AsyncIterator[bytes]:
        """Yield events until no more can follow, the process stops, or the stream is too old."""
        order_id, loop = record.order.id, asyncio.get_running_loop()
        until = loop.time() + _STREAM_SECONDS
        yield ServerSentEventMessage(data=None, retry=_RETRY_MILLISECONDS).encode()
        with self._changes(order_id) as changed:
            while True:
                for event in record.events:
                    after = event.number
                    yield _message(event)
                if _is_complete(record):
                    return
                while not await _set_within(_KEEP_ALIVE_SECONDS, changed) and loop.time() < until:
                    yield ServerSentEventMessage(data=None, comment="keep-alive").encode()
                if self._backends.stopping.is_set() or loop.time() > until:
                    return
                changed.clear()
                try:
                    async with self._reading:
                        record = await self._read(order_id, after)
                except ProblemDetailsException:
                    # The client reconnects by itself, to a replica that can answer.
                    return

    async def _read(self, order_id: str, after: int) -> OrderRecord:
        async with self._backends.bulkheads.reads:
            with postgres():
                record = await queries.find_record(self._backends.pool, order_id, after=after)
        if record is None:
            raise errors.not_found(order_id)
        return record

    @contextmanager
    def _changes(self, order_id: str) -> Iterator[asyncio.Event]:
        """Poll the order until the block ends; the event is set when the order has changed."""
        changed = asyncio.Event()
        self._listeners.setdefault(order_id, set()).add(changed)
        if self._polling is None or self._polling.done():
            self._polling = asyncio.create_task(self._poll())
        try:
            yield changed
        finally:
            self._listeners[order_id].discard(changed)
            if not self._listeners[order_id]:
                del self._listeners[order_id]
                self._marks.pop(order_id, None)

    async def _poll(self) -> None:
        """Poll all orders that have streams, and wake the streams of those that changed."""
        while self._listeners and not await _set_within(_POLL_SECONDS, self._backends.stopping):
            # An outage of Postgres: poll again later.
            with suppress(ProblemDetailsException):
                async with self._backends.bulkheads.reads:
                    with postgres():
                        marks = await queries.marks(self._backends.pool, self._listeners)
                self._wake(marks)
        for listeners in self._listeners.values():
            for changed in listeners:
                changed.set()

    def _wake(self, marks: dict[str, str]) -> None:
        for order_id, mark in marks.items():
            if self._marks.get(order_id) != mark and order_id in self._listeners:
                self._marks[order_id] = mark
                for changed in self._listeners[order_id]:
                    changed.set()


class _EventStream(Stream):
    """A stream that holds a place in its bulkhead from the begin of the answer to its end."""

    def __init__(self, events: AsyncIterator[bytes], streams: Bulkhead) -> None:
        # Not Litestar's ServerSentEvent, which starts each stream in a thread.
        super().__init__(
            events, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"}
        )
        self._streams = streams

    def to_asgi_response(self, *args: Any, **options: Any) -> Any:
        """Return the application that sends the stream, or answers with 503."""
        stream = super().to_asgi_response(*args, **options)

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            async with self._streams:
                await stream(scope, receive, send)

        return answer


def _is_complete(record: OrderRecord) -> bool:
    if record.order.state is OrderState.FULFILLED:
        return True
    owed = {PaymentStatus.PENDING, PaymentStatus.CAPTURED}
    return record.order.state.ended and not any(
        payment.status in owed for payment in record.payments
    )


async def _set_within(seconds: float, event: asyncio.Event) -> bool:
    """Wait for an event; return whether it was set in time."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()


def _message(event: EventRow) -> bytes:
    data = msgspec.json.encode(event).decode()
    return ServerSentEventMessage(id=event.number, event=event.type, data=data).encode()
