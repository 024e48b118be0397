"""The reader of the feed: one connection to Postgres for all streams of this process.

It is open while anybody uses the feed, and a little longer. A notification of a commit wakes the
reader. A poll stands behind it: a pooler may pass on no notifications.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from time import monotonic
from typing import Final

import structlog
from asyncpg import PostgresError

from orderfleet.store import feed as store
from orderfleet.store.feed import Horizon
from orderfleet.store.pool import UNAVAILABLE, Connection, Pool
from orderfleet_api import errors
from orderfleet_api.feed.envelope import Published
from orderfleet_api.feed.listeners import End, Filter, Listener, Listeners
from orderfleet_api.feed.metrics import FeedMetrics

log = structlog.stdlib.get_logger(__name__)

# Events that come this close together are handed on together.
_GAP_SECONDS: Final = 0.05
# So long after an event the reader looks at each gap: of commits at the same time one notifies.
_BUSY_SECONDS: Final = 1.0
_POLL_SECONDS: Final = 1.0
# Between looks at a transaction that is adding events: its commit takes milliseconds.
_WRITER_SECONDS: Final = 0.005
# How long a page or a new stream waits for such transactions.
_WRITERS_SECONDS: Final = 0.5
# A statement of the fleet is cancelled after 2.5 s: this is somebody's open transaction.
_BLOCKED_SECONDS: Final = 10.0
_RECONNECT_SECONDS: Final = 0.5
_LINGER_SECONDS: Final = 10.0
_BATCH: Final = 500
# To connect, and to look once.
_SYNC_SECONDS: Final = 3.0


class FeedReader:
    """Reads the feed while it is used, and hands its events to all listeners."""

    def __init__(
        self,
        pool: Pool,
        stopping: asyncio.Event,
        metrics: FeedMetrics,
        listeners: Listeners | None = None,
    ) -> None:
        self.position: int | None = None
        """The id up to which events have been handed on; None if they are not read."""
        self._pool = pool
        self._stopping = stopping
        self._metrics = metrics
        self._listeners = Listeners(metrics) if listeners is None else listeners
        self._running: asyncio.Task[None] | None = None
        self._users = 0
        self._last_used = 0.0
        self._wake = asyncio.Event()
        # What waits for the next look that begins.
        self._next_look: asyncio.Future[bool] | None = None
        self._horizon = Horizon()
        # The id at which a warning of an open transaction was logged.
        self._warned_at: int | None = None

    @contextmanager
    def used(self) -> Iterator[None]:
        """Keep the reader running for the block."""
        self._users += 1
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        try:
            yield
        finally:
            self._users -= 1
            self._last_used = monotonic()

    async def sync(self, cursor: int | None = None) -> tuple[int, int]:
        """Read what is committed by now; return the cursor to go on from, and the position.

        Writers are waited for, but not for long. Without a cursor it is the position. It is never
        above the newest id: a database that was restored may have lost what was there.

        Raises:
            ProblemDetailsException: Postgres is unavailable, or an open transaction has held up the
                feed since the reader began.
        """
        with self.used():
            looked, began = False, monotonic()
            with suppress(TimeoutError):
                async with asyncio.timeout(_SYNC_SECONDS):
                    looked = await self._look()
                    target = self._horizon.newest
                    while looked and self._is_behind(target, monotonic() - began):
                        looked = await self._look()
        if not looked:
            raise errors.unavailable("Postgres is unavailable.")
        if self.position is None:
            raise errors.unavailable("An open transaction in Postgres holds up the feed.")
        newest = max(self._horizon.newest, self.position)
        return (self.position if cursor is None else min(cursor, newest)), self.position

    async def _look(self) -> bool:
        """Wait for the end of a look that begins now; return whether it was possible."""
        if self._next_look is None:
            self._next_look = asyncio.get_running_loop().create_future()
        self._wake.set()
        return await asyncio.shield(self._next_look)

    @contextmanager
    def listening(self, wanted: Filter) -> Iterator[Listener]:
        """Queue what is wanted for the block, from the position on.

        Raises:
            ProblemDetailsException: there is no position: `sync` has not been called.
        """
        if self.position is None:
            raise errors.unavailable("Postgres is unavailable.")
        with self.used(), self._listeners.added(wanted, self.position) as listener:
            yield listener

    async def _run(self) -> None:
        """Read until nobody uses the feed, or the process stops."""
        reading = asyncio.create_task(self._read())
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait({reading, stopping}, return_when=asyncio.FIRST_COMPLETED)
        reading.cancel()
        stopping.cancel()
        failure, _ = await asyncio.gather(reading, stopping, return_exceptions=True)
        if isinstance(failure, Exception):
            log.error("the feed failed", exc_info=failure)
        if self._running is asyncio.current_task():
            self._forget()
            self._listeners.close(End.STOPPING)

    async def _read(self) -> None:
        """Connect, again after each failure, and follow the feed until nobody uses it."""
        interrupted = False
        while True:
            try:
                async with store.listening(self._pool, self._wake.set) as connection:
                    interrupted = False
                    await self._follow(connection)
                    # Before the connection is closed: a new user starts a new reader.
                    self._forget()
                    return
            except (*UNAVAILABLE, PostgresError) as error:
                # A table may be missing, too, until the migrations have run.
                self._metrics.interrupted.inc()
                if not interrupted:
                    log.warning("the feed is interrupted", error=str(error) or type(error).__name__)
                interrupted = True
                self._answer_sync(looked=False)
                await asyncio.sleep(_RECONNECT_SECONDS)
            if self._is_unused():
                self._forget()
                return

    async def _follow(self, connection: Connection) -> None:
        """Look and hand on, until nobody uses the feed or the connection breaks."""
        last_event = 0.0
        while not self._is_unused():
            self._wake.clear()
            look, self._next_look = self._next_look, None
            looked = handed_on = False
            try:
                await self._settle(connection)
                handed_on = await self._hand_on(connection)
                looked = True
            finally:
                if look is not None:
                    look.set_result(looked)
            if handed_on:
                last_event = monotonic()
                await asyncio.sleep(_GAP_SECONDS)
                continue
            busy = self._horizon.waits_for or monotonic() - last_event < _BUSY_SECONDS
            with suppress(TimeoutError):
                async with asyncio.timeout(_GAP_SECONDS if busy else _POLL_SECONDS):
                    await self._wake.wait()

    async def _settle(self, connection: Connection) -> None:
        """Look until all that is committed by now is settled, or a writer takes too long."""
        horizon = self._horizon
        began, pause = monotonic(), _WRITER_SECONDS
        horizon.observe(await store.look(connection, horizon.settled), began)
        target = horizon.newest
        while horizon.settled < target and monotonic() - began < _GAP_SECONDS:
            await asyncio.sleep(pause)
            pause *= 2
            horizon.observe(await store.look(connection, horizon.settled), monotonic())
        waited = horizon.waited(monotonic())
        self._metrics.blocked.set(waited)
        if waited > _BLOCKED_SECONDS and self._warned_at != horizon.settled:
            self._warned_at = horizon.settled
            log.warning("an open transaction holds up the feed", pids=horizon.waits_for)

    async def _hand_on(self, connection: Connection) -> bool:
        """Hand on what is settled; return whether there was anything."""
        settled = self._horizon.settled
        if self.position is None:
            if settled or not self._horizon.waits_for:
                self.position = settled
            return False
        if settled < self.position:
            log.warning("Postgres has lost events", newest=settled, last_read=self.position)
        moved = settled > self.position
        while settled > self.position and self._listeners:
            began = monotonic()
            events = await store.read_events(
                connection, after=self.position, up_to=settled, limit=_BATCH
            )
            self._listeners.put([Published(event) for event in events])
            # At once: a listener that is added now begins here.
            self.position = events[-1].id if len(events) == _BATCH else settled
            for event in events:
                self._metrics.delay.observe(event.age + monotonic() - began)
        self.position = settled
        return moved

    def _is_behind(self, target: int, waited: float) -> bool:
        if self.position is None:
            return True
        return self.position < target and waited < _WRITERS_SECONDS

    def _is_unused(self) -> bool:
        lingers = monotonic() - self._last_used < _LINGER_SECONDS
        return not self._users and not lingers

    def _forget(self) -> None:
        """Return to the state before the first use."""
        self._running = self.position = None
        self._horizon = Horizon()
        self._metrics.blocked.set(0)
        self._answer_sync(looked=False)

    def _answer_sync(self, *, looked: bool) -> None:
        if self._next_look is not None:
            self._next_look.set_result(looked)
            self._next_look = None
