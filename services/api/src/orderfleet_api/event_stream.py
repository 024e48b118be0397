"""The audit trail of an order as server-sent events, until there is nothing more to come.

Streams do not look at Postgres one by one: one statement every half second looks at all their
orders at once, and a stream reads its order only when that has changed.
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
_LOOK_SECONDS: Final = 0.5
# Proxies close a connection that says nothing for a minute.
_KEEP_ALIVE_SECONDS: Final = 15.0
# An order ends in 15 s, its refund when the gateway lets it: the client comes back for the rest.
_STREAM_SECONDS: Final = 300.0
# When it comes back; browsers take 3 to 5 s by themselves.
_RETRY_MILLISECONDS: Final = 2000
# Reads of changed orders at once, so that many streams are no queue before all other readers.
_READS: Final = 2


class EventStreams:
    """The streams of this process, and their common look at Postgres."""

    def __init__(self, backends: Backends) -> None:
        self._backends = backends
        self._reading = asyncio.Semaphore(_READS)
        # By order: whom to wake when it changes, and how it was at the last look.
        self._listening: dict[str, set[asyncio.Event]] = {}
        self._marks: dict[str, str] = {}
        self._looking: asyncio.Task[None] | None = None

    async def open(self, order_id: str, *, after: int) -> Response[Any]:
        """Answer with the events from number `after` + 1 on, or with 204 if no more will come.

        A client that comes back with `Last-Event-ID` misses nothing and gets nothing twice.

        Raises:
            ProblemDetailsException: there is no such order, or Postgres is full or away; later, as
                the answer begins: there are too many streams.
        """
        record = await self._read(order_id, after)
        if not record.events and _settled(record):
            # It tells an EventSource not to come back again.
            return Response(None, status_code=HTTPStatus.NO_CONTENT)
        return _EventStream(self._events(record, after), self._backends.bulkheads.streams)

    async def _events(self, record: OrderRecord, after: int) -> AsyncIterator[bytes]:
        """Yield events until the order has ended, this process is to stop, or it took too long."""
        order_id, loop = record.order.id, asyncio.get_running_loop()
        until = loop.time() + _STREAM_SECONDS
        yield ServerSentEventMessage(data=None, retry=_RETRY_MILLISECONDS).encode()
        with self._changes(order_id) as changed:
            while True:
                for event in record.events:
                    after = event.number
                    yield _message(event)
                if _settled(record):
                    return
                while not await _within(_KEEP_ALIVE_SECONDS, changed) and loop.time() < until:
                    yield ServerSentEventMessage(data=None, comment="still there").encode()
                if self._backends.stopping.is_set() or loop.time() > until:
                    return
                changed.clear()
                try:
                    async with self._reading:
                        record = await self._read(order_id, after)
                except ProblemDetailsException:
                    # The client comes back by itself, and to a replica that can answer.
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
        """Look at the order until the block ends; what is yielded is set when it has changed."""
        changed = asyncio.Event()
        self._listening.setdefault(order_id, set()).add(changed)
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        try:
            yield changed
        finally:
            self._listening[order_id].discard(changed)
            if not self._listening[order_id]:
                del self._listening[order_id]
                self._marks.pop(order_id, None)

    async def _look(self) -> None:
        """Look at all orders of which there are streams, and wake those of the changed ones."""
        while self._listening and not await _within(_LOOK_SECONDS, self._backends.stopping):
            # Without Postgres it looks again later.
            with suppress(ProblemDetailsException):
                async with self._backends.bulkheads.reads:
                    with postgres():
                        marks = await queries.marks(self._backends.pool, self._listening)
                self._wake(marks)
        for listeners in self._listening.values():
            for changed in listeners:
                changed.set()

    def _wake(self, marks: dict[str, str]) -> None:
        for order_id, mark in marks.items():
            if self._marks.get(order_id) != mark and order_id in self._listening:
                self._marks[order_id] = mark
                for changed in self._listening[order_id]:
                    changed.set()


class _EventStream(Stream):
    """A stream within its bulkhead, from the answer's begin to its end."""

    def __init__(self, events: AsyncIterator[bytes], streams: Bulkhead) -> None:
        # Not Litestar's ServerSentEvent, which takes a thread to begin each of them.
        super().__init__(
            events, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"}
        )
        self._streams = streams

    def to_asgi_response(self, *args: Any, **options: Any) -> Any:
        """Return the application that answers with it, or with 503."""
        stream = super().to_asgi_response(*args, **options)

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            async with self._streams:
                await stream(scope, receive, send)

        return answer


def _settled(record: OrderRecord) -> bool:
    if record.order.state is OrderState.FULFILLED:
        return True
    owed = {PaymentStatus.PENDING, PaymentStatus.CAPTURED}
    return record.order.state.ended and not any(one.status in owed for one in record.payments)


async def _within(seconds: float, event: asyncio.Event) -> bool:
    """Wait for an event, and tell whether it came in time."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()


def _message(event: EventRow) -> bytes:
    data = msgspec.json.encode(event).decode()
    return ServerSentEventMessage(id=event.number, event=event.type, data=data).encode()
