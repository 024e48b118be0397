"""Requests that no honest client sends: each gets a clear answer and harms nobody."""

import asyncio
import time
from http import HTTPStatus
from urllib.parse import urlsplit

import httpx
import pytest

from tests.e2e.support.orders import HOME, Orders, new_id

pytestmark = pytest.mark.asyncio(loop_scope="session")

_JSON = {"Content-Type": "application/json"}


async def _raw(orders: Orders, request: bytes, *, seconds: float = 15) -> bytes:
    """Send bytes as they are and return what comes back until the connection ends."""
    url = urlsplit(orders.fleet.api_url)
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    try:
        writer.write(request)
        await writer.drain()
        async with asyncio.timeout(seconds):
            return await reader.read(4096)
    finally:
        writer.close()


def _head(path: str, length: int, *more: str) -> bytes:
    lines = (f"POST {path} HTTP/1.1", "Host: x", "Content-Type: application/json", *more)
    return "\r\n".join([*lines, f"Content-Length: {length}", "", ""]).encode()


async def test_of_a_field_that_comes_twice_the_last_counts(orders: Orders) -> None:
    order_id = new_id("plain")
    address = b'{"street": "a", "city": "b"}'
    payment = f'"payment_id": "x", "payment_id": "pay-{order_id}"'.encode()
    body = b"{" + payment + b', "address": ' + address + b"}"
    answer = await orders.http.post(f"/orders/{order_id}/start", content=body, headers=_JSON)
    assert answer.status_code == HTTPStatus.ACCEPTED
    assert (await orders.show(order_id))["payment_id"] == f"pay-{order_id}"


@pytest.mark.parametrize("number", ["1e400", "9" * 400, "-1", "1.5", "NaN", "1e2"])
async def test_a_number_that_cannot_be_is_refused_or_understood(
    orders: Orders, number: str
) -> None:
    order_id = new_id("plain")
    items = '[{"sku": "A", "quantity": ' + number + "}]"
    body = f'{{"payment_id": "pay-{order_id}", "address": {{"street": "a", "city": "b"}}'
    answer = await orders.http.post(
        f"/orders/{order_id}/start", content=f'{body}, "items": {items}}}', headers=_JSON
    )
    understood = HTTPStatus.ACCEPTED if number == "1e2" else None
    assert answer.status_code == understood or answer.status_code in {400, 422}, answer.text


async def test_a_mebibyte_in_one_field_is_too_large(orders: Orders) -> None:
    order_id = new_id("plain")
    address = {**HOME, "street": "a" * 2**20}
    try:
        answer = await orders.start(order_id, address=address)
    except httpx.TransportError:
        # It was refused while it was still being sent, and the refusal lost on the way.
        pass
    else:
        assert answer.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        assert answer.headers["Connection"] == "close"
    assert (await orders.http.get(f"/orders/{order_id}")).status_code == HTTPStatus.NOT_FOUND


async def test_headers_without_end_are_refused(orders: Orders) -> None:
    answer = await _raw(orders, _head("/orders/a/start", 0, "X-Long: " + "a" * 100_000))
    assert answer.split(b" ", 2)[1] == b"431"


async def test_a_body_that_does_not_come_is_given_up(orders: Orders) -> None:
    began = time.monotonic()
    answer = await _raw(orders, _head("/orders/a/start", 100) + b'{"pay')
    assert answer.split(b" ", 2)[1] == b"408"
    assert b"application/problem+json" in answer
    # Not at once: a slow client is given its 10 s.
    assert time.monotonic() - began > 5


async def test_a_client_that_goes_away_leaves_nothing_behind(orders: Orders) -> None:
    order_id = new_id("plain")
    url = urlsplit(orders.fleet.api_url)
    for _ in range(20):
        _, writer = await asyncio.open_connection(url.hostname, url.port)
        writer.write(_head(f"/orders/{order_id}/start", 100) + b'{"pay')
        await writer.drain()
        writer.close()
    assert (await orders.http.get(f"/orders/{order_id}")).status_code == HTTPStatus.NOT_FOUND
    placed = await orders.place("plain")
    assert (await orders.ended(placed))["state"] == "fulfilled"
    assert '"level": "error"' not in orders.fleet.log("api").read_text()
