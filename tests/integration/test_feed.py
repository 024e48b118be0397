"""The feed of events: all of them once, in one sequence, whoever writes and however it is read."""

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from orderfleet.domain import events
from orderfleet.domain.events import Event, EventType
from orderfleet.domain.orders import OrderState
from orderfleet.store.feed import Horizon, Look
from orderfleet.store.forget import forget_order
from orderfleet.store.pool import Pool, open_pool
from orderfleet.store.transitions import append_event, move, receive
from orderfleet_api.feed import reader as feed_reader
from orderfleet_api.feed.envelope import EventPage
from orderfleet_api.feed.listeners import EVERYTHING, Filter
from orderfleet_api.feed.metrics import FeedMetrics
from orderfleet_api.feed.reader import FeedReader
from orderfleet_api.feed.stream import Feed
from tests.integration.support.fleet import Fleet, an_order, eventually
from tests.integration.support.servers import Database

_WRITERS = 50
_RESUMES = 15
_INSERT = (
    "INSERT INTO events (order_id, number, type, payload_json, event_key)"
    " VALUES ($1, $2, 'charged', '{}', $2::int::text)"
)
_ALL = "SELECT order_id || '/' || number FROM events"


def _feed(fleet: Fleet, registry: CollectorRegistry | None = None) -> Feed:
    backends = fleet.backends()
    metrics = FeedMetrics(registry or CollectorRegistry())
    return Feed(backends, FeedReader(fleet.pool, backends.stopping, metrics))


async def _put(pool: Pool, order_id: str, actor: str = "") -> None:
    payload = {"actor": actor} if actor else {}
    assert await receive(pool, order_id, an_order(f"pay-{order_id}"), payload)


async def _add(pool: Pool, order_id: str, key: str) -> None:
    await append_event(pool, order_id, Event(EventType.ADDRESS_UPDATED, key, {"address": {}}))


async def _page(
    feed: Feed, after: str = "0", limit: int = 100, wanted: Filter = EVERYTHING
) -> EventPage:
    return await feed.page(int(after), limit, wanted)


@asynccontextmanager
async def _stream(
    feed: Feed, after: int | None = None, wanted: Filter = EVERYTHING
) -> AsyncIterator[AsyncIterator[tuple[int, str]]]:
    """Yield the cursor and the id of each event of a stream."""

    async def messages() -> AsyncGenerator[tuple[int, str]]:
        async with aclosing(answer.iterator) as parts:
            async for part in parts:
                for text in part.decode().split("\r\n\r\n"):
                    fields = dict(line.split(": ", 1) for line in text.split("\r\n") if line)
                    if "data" in fields:
                        yield int(fields["id"]), msgspec.json.decode(fields["data"])["id"]

    answer: Any = await feed.open(after, wanted)
    async with aclosing(messages()) as read:
        # The reader's answer to this stream begins with its first message.
        yield read


# --- None is missed, none comes twice ----------------------------------------------------------


async def _write(pool: Pool, order_id: str, dice: random.Random, enough: asyncio.Event) -> None:
    """Add events in transactions of random length, of which some are rolled back."""
    number = 1
    while not enough.is_set():
        async with pool.acquire() as connection:
            transaction = connection.transaction()
            await transaction.start()
            added = dice.randint(1, 3)
            for step in range(added):
                await connection.execute(_INSERT, order_id, number + step + 1)
                await asyncio.sleep(dice.choice((0, 0.02, 0.05, 0.1)))
            if dice.random() < 0.1:
                await transaction.rollback()
            else:
                await transaction.commit()
                number += added


async def _read(feed: Feed, cursor: int, dice: random.Random) -> tuple[int, list[str]]:
    """Read a page, or as much of a stream; return the cursor and the ids of the events."""
    # Mostly all that there is: what is missed, is missed at the end.
    most = dice.choice((10, 500, 500))
    if dice.random() < 0.5:
        page = await _page(feed, str(cursor), most)
        return int(page.cursor), [event.id for event in page.events]
    seen = []
    with suppress(TimeoutError):
        async with asyncio.timeout(0.3), _stream(feed, cursor) as stream:
            for _ in range(most):
                cursor, id_ = await anext(stream)
                seen.append(id_)
    return cursor, seen


async def _race(fleet: Fleet, database: Database) -> tuple[list[str], list[str]]:
    """Return what a reader has seen while 50 writers wrote, and all that they committed.

    It resumes at two replicas by turns, from where the last one stopped.
    """
    dice, enough = random.Random(26), asyncio.Event()
    async with open_pool(database.url, size=_WRITERS, wait_seconds=0) as pool:
        order_ids = [f"order-{number}" for number in range(_WRITERS)]
        for order_id in order_ids:
            await _put(pool, order_id)
        feeds = [_feed(fleet), _feed(fleet)]
        cursor, seen = 0, list[str]()
        async with asyncio.TaskGroup() as writers:
            for order_id in order_ids:
                writers.create_task(_write(pool, order_id, random.Random(order_id), enough))
            for _ in range(_RESUMES):
                cursor, read = await _read(dice.choice(feeds), cursor, dice)
                seen += read
            enough.set()
        while (page := await _page(feeds[0], str(cursor), 500)).events:
            cursor = int(page.cursor)
            seen += [event.id for event in page.events]
        return seen, [row[0] for row in await pool.fetch(_ALL)]


async def test_a_reader_that_resumes_at_random_misses_nothing_and_gets_nothing_twice(
    fleet: Fleet, database: Database
) -> None:
    seen, written = await _race(fleet, database)
    assert len(written) > 400
    assert sorted(seen) == sorted(written)
    numbers: dict[str, list[int]] = {}
    for id_ in seen:
        order_id, _, number = id_.partition("/")
        numbers.setdefault(order_id, []).append(int(number))
    assert all(each == list(range(1, len(each) + 1)) for each in numbers.values())


async def test_by_their_ids_alone_events_are_missed(
    fleet: Fleet, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test above finds what it is there for."""
    observe = Horizon.observe
    monkeypatch.setattr(
        Horizon, "observe", lambda self, look, now: observe(self, Look(look.newest, {}), now)
    )
    seen, written = await _race(fleet, database)
    assert set(written) - set(seen)


async def test_only_a_transaction_that_writes_events_holds_up_the_feed(
    fleet: Fleet, database: Database
) -> None:
    await _put(fleet.pool, "a")
    await _put(fleet.pool, "b")
    registry = CollectorRegistry()
    feed = _feed(fleet, registry)
    cursor = (await _page(feed)).cursor
    async with open_pool(database.owner_url, size=2, wait_seconds=0) as owner:
        async with owner.acquire() as idle, idle.transaction():
            # It has a transaction id, and so is in every snapshot's horizon.
            await idle.execute("UPDATE orders SET updated_at = now() WHERE id = 'b'")
            await _add(fleet.pool, "a", "one")
            page = await _page(feed, cursor)
            assert [event.id for event in page.events] == ["a/2"]
        async with owner.acquire() as writer, writer.transaction():
            await writer.execute(_INSERT, "b", 2)
            await _add(fleet.pool, "a", "two")
            assert (await _page(feed, page.cursor)).events == []
            assert registry.get_sample_value("orderfleet_feed_blocked_seconds")
        page = await _page(feed, page.cursor)
        assert [event.id for event in page.events] == ["b/2", "a/3"]


# --- Woken, and if not, looked ----------------------------------------------------------------


async def test_a_commit_wakes_the_stream(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_reader, "_POLL_SECONDS", 60.0)
    monkeypatch.setattr(feed_reader, "_BUSY_SECONDS", 0.0)
    await _put(fleet.pool, "a")
    async with asyncio.timeout(10), _stream(_feed(fleet)) as stream:
        first = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0.2)
        await _add(fleet.pool, "a", "one")
        assert (await first)[1] == "a/2"


async def test_without_notifications_a_poll_finds_it(fleet: Fleet, owner: Pool) -> None:
    """As behind a pooler that gives each transaction another connection."""
    await _put(fleet.pool, "a")
    await owner.execute("ALTER TABLE events DISABLE TRIGGER announce_event")
    async with asyncio.timeout(10), _stream(_feed(fleet)) as stream:
        first = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0.2)
        await _add(fleet.pool, "a", "one")
        assert (await first)[1] == "a/2"


async def test_a_writer_does_not_wait_for_another_that_notifies(fleet: Fleet, owner: Pool) -> None:
    await _put(fleet.pool, "a")
    await _put(fleet.pool, "b")
    async with owner.acquire() as writer, writer.transaction():
        await writer.execute(_INSERT, "b", 2)
        async with asyncio.timeout(5):
            await _add(fleet.pool, "a", "one")


async def test_a_lost_connection_is_opened_again(fleet: Fleet, owner: Pool) -> None:
    await _put(fleet.pool, "a")
    registry = CollectorRegistry()
    async with asyncio.timeout(10), _stream(_feed(fleet, registry)) as stream:
        first = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0.2)
        lost = await owner.fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND query LIKE '%pg_locks%'"
            " AND pid <> pg_backend_pid()"
        )
        assert len(lost) == 1
        await _add(fleet.pool, "a", "one")
        assert (await first)[1] == "a/2"
        await _add(fleet.pool, "a", "two")
        assert (await anext(stream))[1] == "a/3"
    assert registry.get_sample_value("orderfleet_feed_interrupted_total") == 1


async def test_an_unused_feed_has_no_connection(
    fleet: Fleet, owner: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_reader, "_LINGER_SECONDS", 0.0)
    monkeypatch.setattr(feed_reader, "_POLL_SECONDS", 0.1)
    feed = _feed(fleet)
    await _page(feed)

    async def gone() -> bool:
        query = (
            "SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = current_database()"
            " AND query LIKE '%pg_locks%' AND pid <> pg_backend_pid()"
        )
        return bool(await owner.fetchval(query))

    await eventually(gone)
    await _put(fleet.pool, "a")
    assert [event.id for event in (await _page(feed)).events] == ["a/1"]


# --- What is read -----------------------------------------------------------------------------


async def test_an_event_has_the_state_and_the_tenant_of_its_order(fleet: Fleet) -> None:
    await _put(fleet.pool, "a", "shop")
    await _put(fleet.pool, "b")
    validated = events.done(EventType.VALIDATED, 1)
    await move(fleet.pool, "a", [validated], to=OrderState.IN_REVIEW)
    await _add(fleet.pool, "a", "one")
    page = await _page(_feed(fleet))
    assert [(event.id, event.data.state, event.data.tenant) for event in page.events] == [
        ("a/1", OrderState.RECEIVED, "shop"),
        ("b/1", OrderState.RECEIVED, None),
        ("a/2", OrderState.IN_REVIEW, "shop"),
        ("a/3", OrderState.IN_REVIEW, "shop"),
    ]


async def test_a_dispatch_that_failed_and_kept_its_claim_leaves_the_state(fleet: Fleet) -> None:
    await _put(fleet.pool, "a")
    types = ["validated", "charging", "charged", "prepared", "dispatching"]
    for type_ in types:
        await append_event(fleet.pool, "a", events.done(EventType(type_), 1))
    failed = events.dispatch_failed(1, "no answer")
    released = Event(failed.type, "dispatch_failed/2", failed.payload | {"released": True})
    await append_event(fleet.pool, "a", failed)
    await append_event(fleet.pool, "a", released)
    states = [event.data.state for event in (await _page(_feed(fleet))).events]
    assert states[-3:] == [OrderState.DISPATCHING, OrderState.DISPATCHING, OrderState.SHIPPING]


async def test_filters(fleet: Fleet) -> None:
    for order_id, tenant in (("a", "shop"), ("b", "mall"), ("c", "")):
        await _put(fleet.pool, order_id, tenant)
        await move(
            fleet.pool, order_id, [events.done(EventType.VALIDATED, 1)], to=OrderState.IN_REVIEW
        )
    feed = _feed(fleet)

    async def ids(**wanted: set[Any]) -> list[str]:
        narrowed = Filter(**{name: frozenset(values) for name, values in wanted.items()})
        page = await _page(feed, wanted=narrowed)
        assert page.cursor == (await _page(feed)).cursor
        async with asyncio.timeout(5), _stream(feed, 0, narrowed) as stream:
            read = [(await anext(stream))[1] for _ in page.events]
        assert read == [event.id for event in page.events]
        return read

    assert await ids(order_ids={"b"}) == ["b/1", "b/2"]
    assert await ids(order_ids={"a", "c"}, states={OrderState.RECEIVED}) == ["a/1", "c/1"]
    assert await ids(types={"validated"}) == ["a/2", "b/2", "c/2"]
    assert await ids(tenants={"shop", "mall"}, types={"received", "failed"}) == ["a/1", "b/1"]
    assert await ids(tenants={"nobody"}) == []


async def test_a_page_ends_at_its_limit_and_the_next_goes_on(fleet: Fleet) -> None:
    feed = _feed(fleet)
    empty = await _page(feed)
    assert (empty.events, empty.cursor) == ([], "0")
    for order_id in ("a", "b", "c"):
        await _put(fleet.pool, order_id)
    first = await _page(feed, empty.cursor, 2)
    second = await _page(feed, first.cursor, 2)
    assert [event.id for event in first.events + second.events] == ["a/1", "b/1", "c/1"]
    last = await _page(feed, second.cursor, 2)
    assert (last.events, last.cursor) == ([], second.cursor)


async def test_a_forgotten_order_shows_it_and_keeps_its_places(fleet: Fleet) -> None:
    feed = _feed(fleet)
    await _put(fleet.pool, "a", "shop")
    await append_event(fleet.pool, "a", events.declined("Zoë's card"))
    ended = [events.ended(OrderState.REJECTED, "Zoë said so")]
    await move(fleet.pool, "a", ended, to=OrderState.REJECTED)
    before = await _page(feed)
    await forget_order(fleet.pool, "a")
    after = await _page(feed, before.cursor)
    assert [(event.type, event.data.tenant) for event in after.events] == [("forgotten", "shop")]
    again = await _page(feed)
    assert [event.id for event in again.events] == ["a/1", "a/2", "a/3", "a/4"]
    assert "Zoë" not in str(again)


async def test_a_cursor_from_before_a_restore_goes_on_at_the_newest_event(
    fleet: Fleet, owner: Pool
) -> None:
    feed = _feed(fleet)
    await _put(fleet.pool, "a")
    await _add(fleet.pool, "a", "one")
    ahead = (await _page(feed)).cursor
    await owner.execute("DELETE FROM events WHERE number = 2")
    await owner.execute("ALTER TABLE events ALTER COLUMN id RESTART WITH 2")
    await owner.execute("UPDATE orders SET event_count = 1")
    resumed = await _page(feed, str(int(ahead) + 100))
    assert resumed.events == []
    await _add(fleet.pool, "a", "two")
    page = await _page(feed, resumed.cursor)
    assert [event.id for event in page.events] == ["a/2"]
