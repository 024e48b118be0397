"""The audit trail as server-sent events."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus

import httpx
import msgspec
import pytest

from tests.e2e.support.apis import run_api
from tests.e2e.support.orders import ENDS, HOME, PATIENCE, Json, Orders, new_id

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def _events(http: httpx.AsyncClient, order_id: str, last: int = 0) -> AsyncIterator[Json]:
    headers = {"Last-Event-ID": str(last)} if last else {}
    stream = http.stream("GET", f"/orders/{order_id}/events", headers=headers, timeout=PATIENCE)
    async with stream as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        fields: dict[str, str] = {}
        async for line in answer.aiter_lines():
            if line:
                name, _, value = line.partition(": ")
                fields[name] = value
            elif "data" in fields:
                event: Json = msgspec.json.decode(fields["data"])
                assert fields["id"] == str(event["number"])
                assert fields["event"] == event["type"]
                yield event
                fields = {}


async def test_a_stream_tells_every_event_and_ends_with_the_order(orders: Orders) -> None:
    order_id = await orders.place("plain")
    heard = [event async for event in _events(orders.http, order_id)]
    assert heard == (await orders.show(order_id))["events"]
    assert heard[-1]["type"] == "fulfilled"


async def test_a_stream_waits_for_the_money_to_come_back(orders: Orders) -> None:
    order_id = await orders.place("declined")
    heard = [event["type"] async for event in _events(orders.http, order_id)]
    assert heard[-2:] == ["failed", "voided"]


async def test_a_client_that_comes_back_misses_nothing_and_hears_nothing_twice(
    orders: Orders,
) -> None:
    order_id = await orders.place("plain")
    heard = []
    async for event in _events(orders.http, order_id):
        heard.append(event)
        if event["type"] == "reviewed":
            break
    heard += [event async for event in _events(orders.http, order_id, heard[-1]["number"])]
    assert heard == (await orders.show(order_id))["events"]


async def test_who_comes_back_after_the_end_is_told_to_stay_away(orders: Orders) -> None:
    order_id = await orders.place("plain")
    heard = [event async for event in _events(orders.http, order_id)]
    path = f"/orders/{order_id}/events"
    # As an EventSource does by itself, again and again.
    again = await orders.http.get(path, headers={"Last-Event-ID": str(heard[-1]["number"])})
    assert (again.status_code, again.content) == (HTTPStatus.NO_CONTENT, b"")
    # A client that has not seen all events still gets the rest.
    last = heard[-2]["number"]
    assert [event async for event in _events(orders.http, order_id, last)] == heard[-1:]


async def test_a_stream_says_when_to_come_back(orders: Orders) -> None:
    order_id = await orders.place("plain")
    async with orders.http.stream("GET", f"/orders/{order_id}/events", timeout=PATIENCE) as answer:
        lines = answer.aiter_lines()
        assert await anext(lines) == "retry: 2000"
    await orders.ended(order_id)


async def test_the_feed_has_the_events_of_all_orders(orders: Orders) -> None:
    order_ids = [new_id("plain"), new_id("declined")]
    query: Json = {"order_id": order_ids}
    heard: list[Json] = []
    async with (
        asyncio.timeout(PATIENCE),
        # That of `orders` reads each answer to its end first.
        httpx.AsyncClient(base_url=orders.fleet.api_url, trust_env=False) as http,
        http.stream("GET", "/events", params=query, timeout=PATIENCE) as answer,
    ):
        lines = answer.aiter_lines()
        assert (await anext(lines), (await anext(lines))[:4]) == ("retry: 2000", "id: ")
        for order_id in order_ids:
            assert (await orders.start(order_id)).status_code == HTTPStatus.ACCEPTED
        async for line in lines:
            name, _, value = line.partition(": ")
            heard += [msgspec.json.decode(value)] if name == "data" else []
            if {each["subject"] for each in heard if each["type"] in ENDS} == set(order_ids):
                break
    for order_id in order_ids:
        own = [
            each["data"] | {"type": each["type"]} for each in heard if each["subject"] == order_id
        ]
        shown = (await orders.show(order_id))["events"][: len(own)]
        assert [(each["sequence"], each["type"], each["payload"]) for each in own] == [
            (each["number"], each["type"], each["payload"]) for each in shown
        ]
    first = {**query, "after": "", "limit": len(heard)}
    page = (await orders.http.get("/events", params=first)).json()
    assert page["events"] == heard
    await asyncio.gather(*(orders.completed(order_id) for order_id in order_ids))
    rest = {**query, "after": page["cursor"], "limit": 500}
    page = (await orders.http.get("/events", params=rest)).json()
    assert {each["type"] for each in page["events"]} <= {"voided", "refunded"}
    rest["after"] = page["cursor"]
    assert (await orders.http.get("/events", params=rest)).json()["events"] == []


async def test_all_streams_share_one_look(orders: Orders) -> None:
    order_ids = [await orders.place("plain") for _ in range(3)]
    heard = await asyncio.gather(
        *(_all(orders.http, order_id) for order_id in order_ids for _ in range(10))
    )
    for order_id, events in zip(
        (order_id for order_id in order_ids for _ in range(10)), heard, strict=True
    ):
        assert events == (await orders.show(order_id))["events"]


async def _all(http: httpx.AsyncClient, order_id: str) -> list[Json]:
    return [event async for event in _events(http, order_id)]


async def test_an_unknown_order_has_no_stream(orders: Orders) -> None:
    answer = await orders.http.get("/orders/nobody/events")
    assert answer.status_code == HTTPStatus.NOT_FOUND


async def test_a_stopping_api_ends_its_streams(
    orders: Orders, unused_tcp_port_factory: Callable[[], int]
) -> None:
    # Far longer than the test: only the end of the stream lets the process go.
    env = {"REVIEW_SECONDS": "60", "ORDER_DEADLINE_SECONDS": "120"}
    async with run_api(orders, unused_tcp_port_factory, env) as (api, http):
        order_id = new_id("plain")
        body = {"payment_id": f"pay-{order_id}", "address": HOME}
        await http.post(f"/orders/{order_id}/start", json=body)
        heard = []
        async for event in _events(http, order_id):
            heard.append(event["type"])
            if event["type"] == "received":
                api.signal(signal.SIGTERM)
        assert heard[0] == "received"
        assert "fulfilled" not in heard
        assert await api.end(seconds=10) == 0
    await orders.cancel(order_id)
