"""The audit trail of an order as server-sent events, until no more can follow."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import Any, Final

import msgspec
from litestar import Response
from litestar.plugins.problem_details import ProblemDetailsException

from orderfleet.domain.orders import OrderState
from orderfleet.domain.payments import PaymentStatus
from orderfleet.store import queries
from orderfleet.store.queries import EventRow, OrderRecord
from orderfleet_api import errors
from orderfleet_api.backends import Backends, postgres
from orderfleet_api.feed import sse
from orderfleet_api.feed.envelope import Published
from orderfleet_api.feed.listeners import Filter
from orderfleet_api.feed.reader import FeedReader

# Concurrent reads of orders under way: many streams must not queue up before all other readers.
_READS: Final = 2


class OrderStreams:
    """The streams of one order each: a filter of the feed, with the order's own numbers."""

    def __init__(self, backends: Backends, reader: FeedReader) -> None:
        self._backends = backends
        self._reader = reader
        self._reading = asyncio.Semaphore(_READS)

    async def open(self, order_id: str, *, after: int) -> Response[Any]:
        """Answer with the events from number `after` + 1 on, or with 204 if none can follow.

        A client that reconnects with `Last-Event-ID` misses nothing and gets nothing twice.

        Raises:
            ProblemDetailsException: there is no such order, or Postgres is busy or unavailable;
                later, as the answer begins: there are too many streams.
        """
        position = self._reader.position
        record = await self._read(order_id, after)
        if not record.events and _is_complete(record):
            # 204 stops an EventSource from reconnecting.
            return Response(None, status_code=HTTPStatus.NO_CONTENT)
        events = self._events(record, after, position)
        return sse.EventStream(events, self._backends.bulkheads.streams)

    async def _events(
        self, record: OrderRecord, after: int, position: int | None
    ) -> AsyncIterator[bytes]:
        """Yield events until no more can follow, the process stops, or the stream is too old.

        Args:
            record: the order.
            after: the number of the last event that the client has.
            position: of the feed before the record was read.
        """
        yield sse.first()
        order_id, loop = record.order.id, asyncio.get_running_loop()
        until = loop.time() + sse.STREAM_SECONDS
        # On an outage the client reconnects by itself, to a replica that can answer.
        with suppress(ProblemDetailsException), self._reader.used():
            if self._reader.position is None:
                await self._reader.sync()
            with self._reader.listening(Filter(order_ids=frozenset({order_id}))) as listener:
                if listener.start != position:
                    # Events were handed on between the read and this.
                    record = await self._read_again(order_id, after)
                events, complete = record.events, _is_complete(record)
                while True:
                    for event in events:
                        after = event.number
                        yield _message(event)
                    if complete or loop.time() >= until:
                        return
                    queued = await listener.get(sse.KEEP_ALIVE_SECONDS)
                    if not queued and listener.end is not None:
                        return
                    if not queued:
                        yield sse.keep_alive()
                    events, complete = await self._following(order_id, after, queued)

    async def _following(
        self, order_id: str, after: int, queued: Sequence[Published]
    ) -> tuple[list[EventRow], bool]:
        """Return the events after a number, and whether they are the last ones."""
        events = [item.event for item in queued if item.event.number > after]
        numbers = [event.number for event in events]
        gapless = numbers == list(range(after + 1, after + 1 + len(numbers)))
        if gapless and not any(item.event.state.ended for item in queued):
            return [
                EventRow(each.number, each.type, each.payload, each.ts) for each in events
            ], False
        record = await self._read_again(order_id, after)
        return record.events, _is_complete(record)

    async def _read_again(self, order_id: str, after: int) -> OrderRecord:
        async with self._reading:
            return await self._read(order_id, after)

    async def _read(self, order_id: str, after: int) -> OrderRecord:
        async with self._backends.bulkheads.reads:
            with postgres():
                record = await queries.find_record(self._backends.pool, order_id, after=after)
        if record is None:
            raise errors.not_found(order_id)
        return record


def _is_complete(record: OrderRecord) -> bool:
    if record.order.state is OrderState.FULFILLED:
        return True
    owed = {PaymentStatus.PENDING, PaymentStatus.CAPTURED}
    return record.order.state.ended and not any(
        payment.status in owed for payment in record.payments
    )


def _message(event: EventRow) -> bytes:
    return sse.message(event.number, event.type, msgspec.json.encode(event))
