"""The queues between the reader of the feed and its streams."""

import asyncio
from datetime import UTC, datetime

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from orderfleet.domain.events import EventType
from orderfleet.domain.orders import OrderState
from orderfleet.store.feed import FeedEvent
from orderfleet_api.feed.envelope import Published
from orderfleet_api.feed.listeners import EVERYTHING, End, Filter, Listeners
from orderfleet_api.feed.metrics import FeedMetrics


def _event(id_: int, order_id: str = "a", tenant: str | None = None) -> Published:
    at = datetime(2026, 1, 31, 12, tzinfo=UTC)
    event = FeedEvent(
        id_, order_id, 3, EventType.CHARGED, {"attempt": 1}, at, OrderState.CHARGED, tenant, 0.0
    )
    return Published(event)


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def listeners(registry: CollectorRegistry) -> Listeners:
    return Listeners(FeedMetrics(registry), limit=3)


async def test_each_gets_what_it_wants(listeners: Listeners, registry: CollectorRegistry) -> None:
    events = [_event(1), _event(2, "b", "shop"), _event(3, "c")]
    with (
        listeners.added(EVERYTHING, 0) as everything,
        listeners.added(Filter(order_ids=frozenset({"a", "c"})), 0) as two,
        listeners.added(Filter(tenants=frozenset({"shop"})), 0) as shop,
        listeners.added(Filter(states=frozenset({OrderState.FAILED})), 0) as failed,
        listeners.added(Filter(order_ids=frozenset({"b"}), types=frozenset({"failed"})), 0) as none,
    ):
        assert registry.get_sample_value("orderfleet_feed_listeners") == 5
        listeners.put(events)
        ids = [
            [item.event.id for item in await listener.get(0)]
            for listener in (everything, two, shop, failed, none)
        ]
        assert ids == [[1, 2, 3], [1, 3], [2], [], []]
    assert not listeners
    assert registry.get_sample_value("orderfleet_feed_listeners") == 0


async def test_a_slow_reader_is_dropped_and_holds_up_no_other(
    listeners: Listeners, registry: CollectorRegistry
) -> None:
    with listeners.added(EVERYTHING, 0) as slow, listeners.added(EVERYTHING, 0) as fast:
        for number in range(1, 6):
            listeners.put([_event(number)])
            assert [item.event.id for item in await fast.get(0)] == [number]
        assert (slow.end, fast.end) == (End.SLOW, None)
        # Its place in the feed is that of the last event that it has sent.
        assert await slow.get(0) == []
        assert registry.get_sample_value("orderfleet_feed_dropped_total") == 1


async def test_a_stream_ends_after_what_is_queued(listeners: Listeners) -> None:
    with listeners.added(Filter(order_ids=frozenset({"a"})), 0) as listener:
        waiting = asyncio.create_task(listener.get(60))
        await asyncio.sleep(0)
        listeners.put([_event(1)])
        assert len(await waiting) == 1
        listeners.put([_event(2)])
        listeners.close(End.STOPPING)
        assert len(await listener.get(60)) == 1
        assert (await listener.get(60), listener.end) == ([], End.STOPPING)


def test_a_message_is_a_cloud_event_and_its_id_the_cursor() -> None:
    lines = _event(17, "order-1", "shop").message.decode().split("\r\n")
    assert lines[:2] == ["id: 17", "event: charged"]
    assert lines[3:] == ["", ""]
    assert msgspec.json.decode(lines[2].removeprefix("data: ")) == {
        "specversion": "1.0",
        "id": "order-1/3",
        "source": "/orders",
        "type": "charged",
        "subject": "order-1",
        "time": "2026-01-31T12:00:00Z",
        "data": {
            "order_id": "order-1",
            "sequence": 3,
            "state": "charged",
            "tenant": "shop",
            "payload": {"attempt": 1},
        },
    }
