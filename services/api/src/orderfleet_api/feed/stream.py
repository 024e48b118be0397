"""The feed as a stream and by page."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Final

from litestar.plugins.problem_details import ProblemDetailsException

from orderfleet.store.feed import read_events
from orderfleet_api.backends import Backends, postgres
from orderfleet_api.feed import sse
from orderfleet_api.feed.envelope import EventPage, Published, envelope
from orderfleet_api.feed.listeners import EVERYTHING, End, Filter, Listener
from orderfleet_api.feed.reader import FeedReader

_BATCH: Final = 500
# A page whose filter few events pass ends after this time, with a cursor to go on.
_PAGE_SECONDS: Final = 1.0


class Feed:
    """The feed for the routes: what is stored, then what the reader hands on."""

    def __init__(self, backends: Backends, reader: FeedReader) -> None:
        self._backends = backends
        self._reader = reader

    async def page(self, after: int, limit: int, wanted: Filter) -> EventPage:
        """Return up to `limit` events after a cursor, and the cursor to go on from.

        Raises:
            ProblemDetailsException: Postgres is unavailable.
        """
        cursor, up_to = await self._reader.sync(after)
        events: list[Published] = []
        loop = asyncio.get_running_loop()
        until = loop.time() + _PAGE_SECONDS
        while cursor < up_to and len(events) < limit and loop.time() < until:
            size = limit - len(events) if wanted is EVERYTHING else _BATCH
            batch = await self._read(cursor, up_to, wanted, size)
            cursor = batch[-1].event.id if len(batch) == size else up_to
            for published in filter(wanted.matches, batch):
                events.append(published)
                if len(events) == limit:
                    cursor = published.event.id
                    break
        return EventPage([envelope(published.event) for published in events], str(cursor))

    async def open(self, after: int | None, wanted: Filter) -> sse.EventStream:
        """Answer with the events after a cursor, or from now on.

        Raises:
            ProblemDetailsException: Postgres is unavailable; later, as the answer begins: there are
                too many streams.
        """
        cursor, _ = await self._reader.sync(after)
        return sse.EventStream(self._events(cursor, wanted), self._backends.bulkheads.streams)

    async def _events(self, cursor: int, wanted: Filter) -> AsyncIterator[bytes]:
        """Yield what is stored, then what is handed on; on an outage the client reconnects."""
        yield sse.first(cursor)
        last = cursor
        with suppress(ProblemDetailsException), self._reader.used():
            # It does not listen yet: a long history would fill its queue meanwhile.
            while (up_to := self._reader.position or 0) - last >= _BATCH:
                last, text = await self._stored(last, up_to, wanted)
                yield text
            with self._reader.listening(wanted) as listener:
                while last < listener.start:
                    last, text = await self._stored(last, listener.start, wanted)
                    yield text
                # The cursor of another replica may be ahead of this one.
                async for text in self._live(listener, last):
                    yield text

    async def _stored(self, after: int, up_to: int, wanted: Filter) -> tuple[int, bytes]:
        """Return the cursor behind a batch of events from Postgres, and the wanted ones."""
        batch = await self._read(after, up_to, wanted)
        after = batch[-1].event.id if len(batch) == _BATCH else up_to
        text = b"".join(event.message for event in filter(wanted.matches, batch))
        return after, text or sse.keep_alive(after)

    async def _live(self, listener: Listener, last: int) -> AsyncIterator[bytes]:
        """Yield what is handed on until the listener ends, or the stream is too old."""
        loop = asyncio.get_running_loop()
        until = loop.time() + sse.STREAM_SECONDS
        while loop.time() < until:
            events = await listener.get(sse.KEEP_ALIVE_SECONDS)
            if events:
                yield b"".join(event.message for event in events if event.event.id > last)
            elif listener.end is None:
                # All up to the position was queued before it, and the queue is empty.
                yield sse.keep_alive(max(last, self._reader.position or 0))
            else:
                if listener.end is End.SLOW:
                    yield sse.TOO_SLOW
                return

    async def _read(
        self, after: int, up_to: int, wanted: Filter, limit: int = _BATCH
    ) -> list[Published]:
        async with self._backends.bulkheads.reads:
            with postgres():
                events = await read_events(
                    self._backends.pool,
                    after=after,
                    up_to=up_to,
                    limit=limit,
                    order_ids=wanted.order_ids,
                )
        return [Published(event) for event in events]
