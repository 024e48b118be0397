"""The application in this process, with neither Postgres nor Temporal there."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Any, cast

import httpx
import pytest
from litestar.types import ASGIApp, Message, Middleware, Receive, Scope, Send

from orderfleet.domain.currencies import WHOLE_PRICE_PATTERN
from orderfleet.domain.events import EventType
from orderfleet.store.pool import open_pool
from orderfleet.temporal.client import connect
from orderfleet_api.app import create_app
from orderfleet_api.backends import Backends
from orderfleet_api.settings import ApiSettings
from orderfleet_api.violations import WORDS

_KEY = {"Authorization": "Bearer key"}
_KEYS = f"shop:{sha256(b'key').hexdigest()}"
_ORDER = {"payment_id": "p-1", "address": {"street": "1 Main St", "city": "Springfield"}}
_PROTECTED = (
    *("/orders", "/orders/a", "/orders/a/status", "/orders/a/events"),
    *("/events", "/overview"),
)
_PUBLIC = (
    "/board",
    "/board/board.js",
    "/health",
    "/docs",
    "/docs/openapi.json",
    "/docs/asyncapi.json",
    "/assets/swagger-ui.css",
)


@asynccontextmanager
async def unreachable(port: int, **settings: Any) -> AsyncIterator[Backends]:
    """Yield the API's connections; nobody listens on the port of Postgres and Temporal."""
    api = ApiSettings(
        database_url=f"postgresql://nobody@127.0.0.1:{port}/nothing",
        temporal_address=f"127.0.0.1:{port}",
        temporal_wait_seconds=5.0,
        **settings,
    )
    temporal = await connect(api, lazy=True)
    async with open_pool(api.database_url, size=1, wait_seconds=0, lazy=True) as pool:
        yield Backends(pool, temporal, api)


@asynccontextmanager
async def serving(
    port: int, *middleware: Middleware, **settings: Any
) -> AsyncIterator[httpx.AsyncClient]:
    """Serve the API; nobody listens on the port of Postgres and Temporal."""
    async with unreachable(port, **settings) as backends:
        # Litestar types its messages more narrowly than httpx does.
        app = cast("Any", create_app(backends, middleware))
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
            yield http


async def test_a_key_is_required_before_anything_is_read(unused_tcp_port: int) -> None:
    read = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal read
        read += 1
        yield json.dumps(_ORDER).encode()

    sent = {"Content-Type": "application/json"}
    async with serving(unused_tcp_port, api_keys=_KEYS) as http:
        for key in ({}, {"Authorization": "Bearer wrong"}):
            answer = await http.post("/orders/a/start", content=body(), headers=sent | key)
            assert answer.status_code == 401
            assert answer.headers["WWW-Authenticate"] == 'Bearer realm="orderfleet"'
            assert answer.headers["Content-Type"] == "application/problem+json"
            for path in _PROTECTED:
                for method in ("GET", "OPTIONS"):
                    answer = await http.request(method, path, headers=key)
                    assert answer.status_code == 401, (method, path)
            # A key comes first: who has none learns nothing of what is wrong with the rest.
            assert (await http.get("/orders?odd=1", headers=key)).status_code == 401
        assert read == 0
        answer = await http.post("/orders/a/start", content=body(), headers=sent | _KEY)
        assert (answer.status_code, read) == (503, 1)
        assert (await http.options("/orders/a", headers=_KEY)).status_code == 204


async def test_a_middleware_sees_a_refused_key(unused_tcp_port: int) -> None:
    """So that the span of the request has its status."""
    statuses: list[int] = []

    def recording(app: ASGIApp) -> ASGIApp:
        async def handle(scope: Scope, receive: Receive, send: Send) -> None:
            async def recording_send(message: Message) -> None:
                if message["type"] == "http.response.start":
                    statuses.append(message["status"])
                await send(message)

            await app(scope, receive, recording_send)

        return handle

    async with serving(unused_tcp_port, recording, api_keys=_KEYS) as http:
        assert (await http.get("/orders")).status_code == 401
        assert (await http.get("/orders?odd=1", headers=_KEY)).status_code == 422
    assert statuses == [401, 422]


async def test_no_key_is_required_of_a_load_balancer_or_a_reader(unused_tcp_port: int) -> None:
    async with serving(unused_tcp_port, api_keys=_KEYS) as http:
        for path in _PUBLIC:
            assert (await http.get(path)).status_code == 200
            assert (await http.options(path)).status_code == 204


async def test_without_postgres_and_temporal_the_answer_is_503(unused_tcp_port: int) -> None:
    async with serving(unused_tcp_port) as http:
        for method, path, body in (
            ("POST", "/orders/a/start", _ORDER),
            ("GET", "/orders", None),
            ("GET", "/orders/a", None),
            ("GET", "/orders/a/status", None),
            ("GET", "/orders/a/events", None),
            ("GET", "/events", None),
            ("GET", "/events?after=&limit=10", None),
            ("POST", "/orders/a/signals/cancel", {}),
            ("POST", "/orders/a/review", {"approved": True}),
        ):
            answer = await http.request(method, path, json=body)
            assert answer.status_code == 503, (method, path, answer.text)
            assert answer.headers["Content-Type"] == "application/problem+json"
            assert answer.headers["Retry-After"] == "1"


@pytest.mark.parametrize("keys", ["", _KEYS])
async def test_the_document_names_no_dependency(unused_tcp_port: int, keys: str) -> None:
    async with serving(unused_tcp_port, api_keys=keys) as http:
        document = (await http.get("/docs/openapi.json")).json()
    parameters = {
        parameter["name"]
        for path in document["paths"].values()
        for operation in path.values()
        for parameter in operation.get("parameters", [])
    }
    assert parameters == {
        *("order_id", "state", "limit", "cursor", "Idempotency-Key", "Last-Event-ID", "Priority"),
        *("after", "type", "tenant"),
    }
    assert ("security" in document) is bool(keys)


async def test_the_document_says_when_to_send_an_order_again(unused_tcp_port: int) -> None:
    async with serving(unused_tcp_port) as http:
        document = (await http.get("/docs/openapi.json")).json()
    schemas = document["components"]["schemas"]
    [reason] = schemas["OrderRefused"]["properties"]["reason"]["oneOf"]
    assert set(reason["enum"]) == {"busy", "share", "rate", "away"}
    assert "reason" not in schemas["OrderRefused"]["required"]
    assert "reason" not in schemas["Problem"]["properties"]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            places_order = method == "post" and path in {"/orders", "/orders/{order_id}/start"}
            for status in ("429", "503"):
                if path == "/health":
                    continue
                answer = operation["responses"][status]
                assert answer["headers"]["Retry-After"]["schema"]["type"] == "integer"
                document_of = answer["content"]["application/problem+json"]["schema"]["$ref"]
                assert document_of.endswith("/OrderRefused" if places_order else "/Problem")


async def test_both_methods_of_a_path_are_named(unused_tcp_port: int) -> None:
    async with serving(unused_tcp_port) as http:
        assert (await http.options("/orders")).headers["Allow"] == "GET, OPTIONS, POST"
        wrong = await http.delete("/orders")
    assert wrong.status_code == 405
    assert set(wrong.headers["Allow"].split(", ")) == {"GET", "OPTIONS", "POST"}


def _patterns(document: Any, schema: Any) -> set[str]:
    """Return the patterns of a schema and of all that it refers to."""
    if isinstance(schema, list):
        return {found for member in schema for found in _patterns(document, member)}
    if not isinstance(schema, dict):
        return set()
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        return _patterns(document, document["components"]["schemas"][name])
    own = {schema["pattern"]} if isinstance(schema.get("pattern"), str) else set()
    return own | {found for member in schema.values() for found in _patterns(document, member)}


async def test_every_pattern_of_a_request_has_words(unused_tcp_port: int) -> None:
    async with serving(unused_tcp_port) as http:
        document = (await http.get("/docs/openapi.json")).json()
    for path in document["paths"].values():
        for operation in path.values():
            asked = [operation.get("parameters", []), operation.get("requestBody", {})]
            # A whole price is another price to msgspec: `check_order` explains it.
            assert _patterns(document, asked) - {WHOLE_PRICE_PATTERN} <= set(WORDS)


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"payment_id": "a b"}, "/payment_id"),
        ({"currency": "usd"}, "/currency"),
        ({"address": {"street": "a\x1bb", "city": "c"}}, "/address/street"),
        ({"address": {"street": "\u200b", "city": "c"}}, "/address/street"),
        ({"address": {"street": "a", "city": "c", "name": "\u202e"}}, "/address/name"),
        ({"items": [{"sku": "A", "price": "1.005"}]}, "/items/0/price"),
    ],
)
async def test_what_is_wrong_with_a_text_is_said_in_words(
    unused_tcp_port: int, changes: dict[str, Any], pointer: str
) -> None:
    async with serving(unused_tcp_port) as http:
        answer = await http.post("/orders/a/start", json=_ORDER | changes)
        wrong_id = await http.get("/orders/-a")
    for refused, where in ((answer, pointer), (wrong_id, "path order_id")):
        assert refused.status_code == 422
        [error] = refused.json()["errors"]
        assert error["pointer"] == where
        assert error["detail"].startswith("Expected")
        assert "regex" not in error["detail"]
        assert len(error["detail"]) < 100


async def test_the_document_lists_the_types_of_events(unused_tcp_port: int) -> None:
    async with serving(unused_tcp_port) as http:
        schemas = (await http.get("/docs/openapi.json")).json()["components"]["schemas"]
    event_type = json.dumps(schemas["EventRow"]["properties"]["type"])
    assert "#/components/schemas/EventType" in event_type
    assert schemas["EventType"]["enum"] == [type_.value for type_ in EventType]
