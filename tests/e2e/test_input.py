"""Invalid requests are answered with 4xx, as problem+json that points to what is invalid."""

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.e2e.support.orders import HOME, Json, Orders, new_id

pytestmark = pytest.mark.asyncio(loop_scope="session")

_JSON = {"Content-Type": "application/json"}
_ROUTES: list[tuple[str, str, Json | None]] = [
    ("GET", "", None),
    ("GET", "/status", None),
    ("POST", "/signals/cancel", {}),
    ("POST", "/signals/update-address", {"address": HOME}),
    ("POST", "/review", {"approved": True}),
]


def _problem(answer: httpx.Response, status: int) -> Json:
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    body: Json = answer.json()
    assert body["status"] == status
    assert body["type"]
    assert body["title"]
    assert body["detail"]
    return body


def _order(**changes: Any) -> Json:
    return {"payment_id": new_id("pay"), "address": HOME, **changes}


_DEEP = b'{"address": ' + b"[" * 20_000 + b"]" * 20_000 + b"}"


@pytest.mark.parametrize(
    "body",
    [b"{", b'{"payment_id": "p"', b"\xff\xfe", b'{"payment_id": "\xff"}', _DEEP],
    ids=["brace", "cut", "bytes", "byte", "deep"],
)
async def test_malformed_json_is_a_bad_request(orders: Orders, body: bytes) -> None:
    order_id = new_id("plain")
    path = f"/orders/{order_id}/start"
    _problem(await orders.http.post(path, content=body, headers=_JSON), 400)
    assert (await orders.http.get(f"/orders/{order_id}")).status_code == 404


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"address": HOME}, "/payment_id"),
        ({"payment_id": "p"}, "/address"),
        (_order(address={"city": "Springfield"}), "/address/street"),
        (_order(address={"street": "", "city": "Springfield"}), "/address/street"),
        (_order(address={**HOME, "planet": "Mars"}), "/address/planet"),
        (_order(address={**HOME, "name": "x" * 201}), "/address/name"),
        (_order(payment_id="p\n"), "/payment_id"),
        (_order(payment_id=7), "/payment_id"),
        (_order(currency="usd"), "/currency"),
        (_order(currency="USD\n"), "/currency"),
        (_order(coupon="free"), "/coupon"),
        (_order(items=[{"sku": "A"}, {"sku": "A", "quantity": 0}]), "/items/1/quantity"),
        (_order(items=[{"sku": "A", "quantity": 1001}]), "/items/0/quantity"),
        (_order(items=[{"sku": "A", "quantity": True}]), "/items/0/quantity"),
        (_order(items=[{"sku": "A", "price": "-1"}]), "/items/0/price"),
        (_order(items=[{"sku": "A", "price": "1.005"}]), "/items/0/price"),
        (_order(items=[{"sku": "A", "price": "NaN"}]), "/items/0/price"),
        (_order(items=[{"sku": "A", "price": 1.5}]), "/items/0/price"),
        (_order(items=[{}]), "/items/0/sku"),
        (_order(items=[{"sku": "A"}] * 101), "/items"),
        # An order's own time is not the caller's to choose.
        (_order(deadline_seconds=3600), "/deadline_seconds"),
    ],
)
async def test_a_wrong_field_is_pointed_at(orders: Orders, body: Json, pointer: str) -> None:
    answer = await orders.http.post(f"/orders/{new_id('plain')}/start", json=body)
    errors = _problem(answer, 422)["errors"]
    assert [error["pointer"] for error in errors] == [pointer]
    assert errors[0]["detail"]


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b'"order"', b"7"])
async def test_a_body_of_another_kind_is_refused(orders: Orders, body: bytes) -> None:
    for path in ("start", "signals/update-address", "review"):
        url = f"/orders/{new_id('plain')}/{path}"
        answer = await orders.http.post(url, content=body, headers=_JSON)
        detail = _problem(answer, 422)["detail"]
        assert body or "body is missing" in detail


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_an_order_in_another_format_is_refused(orders: Orders, kind: str) -> None:
    headers = {"Content-Type": kind} if kind else {}
    answer = await orders.http.post(
        f"/orders/{new_id('plain')}/start", content=b"payment_id=p", headers=headers
    )
    _problem(answer, 415)


@pytest.mark.parametrize(
    "path", ["/orders", "/orders/none", "/orders?limit=0", "/nowhere", "/docs"]
)
async def test_every_answer_has_the_headers_of_the_api(orders: Orders, path: str) -> None:
    headers = (await orders.http.get(path)).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("character", ["\x00", "\n", "\r", "\x1b", "\x7f", "\x85", "\ud800"])
async def test_control_characters_are_refused(orders: Orders, character: str) -> None:
    # As escapes: what JSON itself allows, and Postgres or a terminal does not.
    text = f"a\\u{ord(character):04x}b"
    street = f'{{"street": "{text}", "city": "c"}}'
    order_id = await orders.place("plain")
    for path, body in (
        (f"{new_id('plain')}/start", f'{{"payment_id": "p", "address": {street}}}'),
        (f"{order_id}/signals/update-address", f'{{"address": {street}}}'),
        (f"{order_id}/signals/cancel", f'{{"reason": "{text}"}}'),
        (f"{order_id}/review", f'{{"approved": true, "reviewer": "{text}"}}'),
    ):
        answer = await orders.http.post(f"/orders/{path}", content=body.encode(), headers=_JSON)
        # Half a surrogate pair is no JSON at all.
        _problem(answer, 400 if character == "\ud800" else 422)
    assert (await orders.cancel(order_id)).status_code == 200


@pytest.mark.parametrize(("method", "path", "body"), _ROUTES)
async def test_an_unknown_order_is_not_found(
    orders: Orders, method: str, path: str, body: Json | None
) -> None:
    order_id = new_id("nobody")
    answer = await orders.http.request(method, f"/orders/{order_id}{path}", json=body)
    assert order_id in _problem(answer, 404)["detail"]


@pytest.mark.parametrize(
    "order_id",
    ["a\n", "a b", "a" * 65, "-a", "ä", "订单", "a/b", "a%2Fb", "a;b", "a\x00", "\x7f", "*"],
)
async def test_an_id_that_cannot_be_is_refused(orders: Orders, order_id: str) -> None:
    await _refused_everywhere(orders, quote(order_id, safe=""))


@pytest.mark.parametrize("raw", ["%FF", "%C3%28", "%", "%zz", "%u0041", "a%0Ab"])
async def test_a_path_that_is_badly_encoded_is_refused(orders: Orders, raw: str) -> None:
    await _refused_everywhere(orders, raw)


async def _refused_everywhere(orders: Orders, raw: str) -> None:
    start = ("POST", "/start", _order())
    for method, path, body in [start, *_ROUTES]:
        # By hand, as httpx would mend what is wrong.
        url = orders.http.base_url.copy_with(raw_path=f"/orders/{raw}{path}".encode())
        answer = await orders.http.send(httpx.Request(method, url, json=body))
        _problem(answer, 422 if answer.status_code == 422 else 404)


@pytest.mark.parametrize("key", ["", "a b", "x" * 129, "ä".encode(), b"\xff"])
async def test_a_key_that_cannot_be_is_refused(orders: Orders, key: str | bytes) -> None:
    order_id = await orders.place("plain")
    raw = key if isinstance(key, bytes) else key.encode()
    path = f"/orders/{order_id}/signals/cancel"
    headers = [(b"Idempotency-Key", raw), (b"Content-Type", b"application/json")]
    _problem(await orders.http.post(path, content=b"{}", headers=headers), 422)
    assert (await orders.cancel(order_id, "x" * 128)).status_code == 200


async def test_a_cancel_needs_no_body(orders: Orders) -> None:
    order_id = await orders.place("plain")
    answer = await orders.http.post(f"/orders/{order_id}/signals/cancel")
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("chunked", [True, False])
async def test_a_body_that_is_too_large_is_refused(orders: Orders, chunked: bool) -> None:
    # Just too large: what a server leaves unread when it answers is lost with the connection.
    large = b'{"payment_id": "' + b"x" * (128 * 1024) + b'"}'

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(large), 10_000):
            yield large[start : start + 10_000]

    path = f"/orders/{new_id('plain')}/start"
    for _ in range(10):
        content = chunks() if chunked else large
        # A server that stops reading may cut off a client that still writes.
        with suppress(httpx.TransportError):
            _problem(await orders.http.post(path, content=content, headers=_JSON), 413)
            return
    raise AssertionError("never an answer")


async def test_the_largest_order_there_is_is_taken(orders: Orders) -> None:
    line = "ü" * 200
    items = [{"sku": line, "quantity": 1000, "price": "999999999.99"}] * 100
    fields = ("street", "city", "name", "region", "postal_code", "country")
    order_id = await orders.place("plain", items=items, address=dict.fromkeys(fields, line))
    assert (await orders.ended(order_id))["state"] == "fulfilled"
    assert (await orders.show(order_id))["amount"] == "99999999999000.00"


@pytest.mark.parametrize(
    "path", ["/", "/nothing", "/orders", "/orders/a/b", "/orders/a/start/", "//"]
)
async def test_an_unknown_path_is_not_found(orders: Orders, path: str) -> None:
    url = orders.http.base_url.copy_with(raw_path=path.encode())
    answer = await orders.http.send(httpx.Request("DELETE", url))
    _problem(answer, 405 if answer.status_code == 405 else 404)


@pytest.mark.parametrize(
    ("method", "path"),
    [("PUT", "/start"), ("GET", "/start"), ("POST", "/status"), ("DELETE", ""), ("GET", "/review")],
)
async def test_a_wrong_method_is_not_allowed(orders: Orders, method: str, path: str) -> None:
    answer = await orders.http.request(method, f"/orders/{new_id('plain')}{path}")
    _problem(answer, 405)
    assert answer.headers["Allow"]


async def test_the_contract_names_every_route_and_its_bounds(orders: Orders) -> None:
    answer = await orders.http.get("/docs/openapi.json")
    document = answer.json()
    assert {
        f"{method.upper()} {path}"
        for path, methods in document["paths"].items()
        for method in methods
    } >= {
        "POST /orders/{order_id}/start",
        "GET /orders/{order_id}/status",
        "GET /orders/{order_id}",
        "POST /orders/{order_id}/signals/cancel",
        "POST /orders/{order_id}/signals/update-address",
        "POST /orders/{order_id}/review",
    }
    start = document["paths"]["/orders/{order_id}/start"]["post"]
    assert "202" in start["responses"]
    order_id = next(each for each in start["parameters"] if each["name"] == "order_id")
    assert order_id["schema"]["maxLength"] == 64
    assert order_id["schema"]["pattern"].startswith("^[A-Za-z0-9]")
    schemas = document["components"]["schemas"]
    assert sorted(schemas["Address"]["required"]) == ["city", "street"]
    assert schemas["Address"]["properties"]["street"]["maxLength"] == 200
    cancel = document["paths"]["/orders/{order_id}/signals/cancel"]["post"]
    assert "Idempotency-Key" in [parameter["name"] for parameter in cancel["parameters"]]
    assert (await orders.http.get("/docs")).status_code == 200


async def test_the_books_balance(orders: Orders) -> None:
    await orders.balanced()
