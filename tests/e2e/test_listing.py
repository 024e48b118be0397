"""Orders placed by a key, and the listing."""

import asyncio
from http import HTTPStatus
from typing import Any

import pytest

from tests.e2e.support.orders import HOME, Json, Orders, new_id

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def _page(orders: Orders, **query: Any) -> Json:
    answer = await orders.http.get("/orders", params=query)
    assert answer.status_code == HTTPStatus.OK, answer.text
    page: Json = answer.json()
    return page


async def test_a_key_names_one_order_however_often_it_comes(orders: Orders) -> None:
    body = {"payment_id": new_id("pay"), "address": HOME}
    headers = {"Idempotency-Key": new_id("key")}
    placed = await asyncio.gather(
        *(orders.http.post("/orders", json=body, headers=headers) for _ in range(5))
    )
    assert {answer.status_code for answer in placed} == {HTTPStatus.ACCEPTED}
    locations = {answer.headers["Location"] for answer in placed}
    assert len(locations) == 1
    shown = (await orders.http.get(locations.pop())).json()
    assert shown["payment_id"] == body["payment_id"]
    other = {**body, "currency": "EUR"}
    refused = await orders.http.post("/orders", json=other, headers=headers)
    assert refused.status_code == HTTPStatus.CONFLICT


async def test_without_a_key_nothing_is_placed(orders: Orders) -> None:
    body = {"payment_id": new_id("pay"), "address": HOME}
    answer = await orders.http.post("/orders", json=body)
    assert answer.status_code == HTTPStatus.BAD_REQUEST
    assert "Idempotency-Key" in answer.json()["detail"]


async def test_an_accepted_order_is_listed_at_once_and_first(orders: Orders) -> None:
    order_id = await orders.place("plain")
    listed = (await _page(orders, limit=5))["orders"]
    assert order_id in [order["id"] for order in listed]
    times = [order["created_at"] for order in listed]
    assert times == sorted(times, reverse=True)


async def test_pages_hold_every_order_once_while_new_ones_come(orders: Orders) -> None:
    placed = [await orders.place("plain") for _ in range(5)]
    listed: list[str] = []
    cursor = None
    while not set(placed) <= set(listed):
        query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = await _page(orders, **query)
        listed += [order["id"] for order in page["orders"]]
        cursor = page["next"]
        await orders.place("plain")
        assert cursor or set(placed) <= set(listed)
    assert len(listed) == len(set(listed))
    assert [order_id for order_id in listed if order_id in placed] == placed[::-1]


async def test_a_state_narrows_the_listing(orders: Orders) -> None:
    order_id = await orders.place("plain", items=[])
    await orders.last_status(order_id)
    rejected = (await _page(orders, state="rejected", limit=500))["orders"]
    assert order_id in [order["id"] for order in rejected]
    assert {order["state"] for order in rejected} == {"rejected"}


@pytest.mark.parametrize(
    "query", [{"limit": 0}, {"limit": 501}, {"limit": "x"}, {"state": "lost"}, {"cursor": "x"}]
)
async def test_a_wrong_query_says_which_part(orders: Orders, query: Json) -> None:
    answer = await orders.http.get("/orders", params=query)
    assert answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert answer.json()["errors"][0]["pointer"] == f"query {next(iter(query))}"
