"""The streams that listen: a bounded queue for each, by the orders that they want."""

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from enum import Enum, auto
from typing import Final

from msgspec import Struct

from orderfleet.domain.orders import OrderState
from orderfleet_api.feed.envelope import Published
from orderfleet_api.feed.metrics import FeedMetrics

# At 100 events a second it is 20 s of them. All queues share the events.
_QUEUE: Final = 2_000


class Filter(Struct, frozen=True):
    """Which events are wanted; an empty set is no bound."""

    order_ids: frozenset[str] = frozenset()
    states: frozenset[OrderState] = frozenset()
    types: frozenset[str] = frozenset()
    tenants: frozenset[str] = frozenset()

    def matches(self, published: Published) -> bool:
        """Tell whether an event is wanted."""
        event = published.event
        return (
            (not self.order_ids or event.order_id in self.order_ids)
            and (not self.states or event.state in self.states)
            and (not self.types or event.type in self.types)
            and (not self.tenants or event.tenant in self.tenants)
        )


EVERYTHING: Final = Filter()


class End(Enum):
    """Why a listener gets no more events."""

    SLOW = auto()
    STOPPING = auto()


class Listener:
    """A queue between the reader of Postgres and one stream."""

    def __init__(self, wanted: Filter, start: int, limit: int) -> None:
        self.wanted = wanted
        self.start = start
        """The id in the feed after which events are queued."""
        self.end: End | None = None
        self._queue: deque[Published] = deque()
        self._limit = limit
        self._changed = asyncio.Event()

    def put(self, events: Sequence[Published]) -> bool:
        """Queue those events that are wanted; end the listener and return False if it is full."""
        if self.end is not None:
            return True
        if self.wanted is not EVERYTHING:
            events = [event for event in events if self.wanted.matches(event)]
        if len(self._queue) + len(events) > self._limit:
            self._queue.clear()
            self.close(End.SLOW)
            return False
        if events:
            self._queue.extend(events)
            self._changed.set()
        return True

    def close(self, end: End) -> None:
        """Let the stream end after what is queued."""
        self.end = self.end or end
        self._changed.set()

    async def get(self, seconds: float) -> list[Published]:
        """Return what is queued; wait for it up to so many seconds; nothing after the end."""
        if not self._queue and self.end is None:
            self._changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._changed.wait()
        events = list(self._queue)
        self._queue.clear()
        return events


class Listeners:
    """All listeners of this process."""

    def __init__(self, metrics: FeedMetrics, limit: int = _QUEUE) -> None:
        self._metrics = metrics
        self._limit = limit
        self._all: set[Listener] = set()
        # Those that want some orders only, by each order: an event of another costs them nothing.
        self._of_order: dict[str, set[Listener]] = {}

    def __bool__(self) -> bool:
        return bool(self._all or self._of_order)

    @contextmanager
    def added(self, wanted: Filter, start: int) -> Iterator[Listener]:
        """Add a listener for the block."""
        listener = Listener(wanted, start, self._limit)
        groups = [self._of_order.setdefault(id_, set()) for id_ in wanted.order_ids] or [self._all]
        for group in groups:
            group.add(listener)
        self._metrics.listeners += 1
        try:
            yield listener
        finally:
            self._metrics.listeners -= 1
            for group in groups:
                group.discard(listener)
            for order_id in wanted.order_ids:
                if not self._of_order.get(order_id, True):
                    del self._of_order[order_id]

    def put(self, events: Sequence[Published]) -> None:
        """Hand events to all that want them; a listener whose queue is full is dropped."""
        for listener in self._all:
            self._put(listener, events)
        if self._of_order:
            for event in events:
                for listener in self._of_order.get(event.event.order_id, ()):
                    self._put(listener, [event])

    def close(self, end: End) -> None:
        """End all listeners."""
        for listener in self._all.union(*self._of_order.values()):
            listener.close(end)

    def _put(self, listener: Listener, events: Sequence[Published]) -> None:
        if not listener.put(events):
            self._metrics.dropped.inc()
