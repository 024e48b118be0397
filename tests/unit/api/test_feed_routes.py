"""The routes of the feed, without Postgres: what they refuse, and what describes them."""

from http import HTTPStatus
from typing import Any

import pytest

from orderfleet.domain.events import EventType
from orderfleet.domain.orders import OrderState
from tests.unit.api.test_app import serving

Json = dict[str, Any]


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("after=odd", "query after"),
        ("after=-1", "query after"),
        ("after=1234567890123456789", "query after"),
        ("after=1&after=2", "query after"),
        ("limit=0", "query limit"),
        ("limit=501", "query limit"),
        ("limit=1e2", "query limit"),
        ("state=odd", "query state"),
        ("state=failed&state=odd", "query state"),
        ("order_id=a/b", "query order_id"),
        ("type=Odd!", "query type"),
        ("tenant=a%20b", "query tenant"),
        ("odd=1", "query odd"),
    ],
)
async def test_what_is_odd_is_refused(unused_tcp_port: int, query: str, pointer: str) -> None:
    async with serving(unused_tcp_port) as http:
        answer = await http.get(f"/events?{query}")
    assert answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    error = answer.json()["errors"][0]
    assert error["pointer"] == pointer
    assert "regex" not in error["detail"]


async def test_an_odd_last_event_id_is_refused(unused_tcp_port: int) -> None:
    async with serving(unused_tcp_port) as http:
        answer = await http.get("/events", headers={"Last-Event-ID": "a-1"})
    assert answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert answer.json()["errors"][0]["pointer"] == "header last-event-id"


async def test_filters_may_be_repeated(unused_tcp_port: int) -> None:
    query = "order_id=a&order_id=b&state=failed&state=rejected&type=x&type=y&tenant=a&tenant=b"
    async with serving(unused_tcp_port) as http:
        # Postgres is asked.
        assert (await http.get(f"/events?limit=1&{query}")).status_code == 503


async def test_the_openapi_document_has_both_answers(unused_tcp_port: int) -> None:
    async with serving(unused_tcp_port) as http:
        document = (await http.get("/docs/openapi.json")).json()
    content = document["paths"]["/events"]["get"]["responses"]["200"]["content"]
    assert content.keys() == {"text/event-stream", "application/json"}
    page = _resolve(document, content["application/json"]["schema"])
    assert page["properties"].keys() == {"events", "cursor"}
    event = _resolve(document, page["properties"]["events"]["items"])
    assert "specversion" in event["properties"]


async def test_the_asyncapi_document(unused_tcp_port: int) -> None:
    async with serving(unused_tcp_port) as http:
        document = (await http.get("/docs/asyncapi.json")).json()
    assert document["asyncapi"] == "3.0.0"
    assert {"title", "version"} <= document["info"].keys()
    addresses = {name: channel["address"] for name, channel in document["channels"].items()}
    assert addresses == {"events": "/events", "orderEvents": "/orders/{order_id}/events"}
    assert document["channels"]["orderEvents"]["parameters"].keys() == {"order_id"}
    for operation in document["operations"].values():
        assert operation["action"] == "send"
        channel = _resolve(document, operation["channel"])
        for reference in operation["messages"]:
            assert reference["$ref"].startswith(operation["channel"]["$ref"])
            message = _resolve(document, _resolve(document, reference))
            assert message in document["components"]["messages"].values()
            assert channel["messages"]
    assert _unresolved(document, document) == []
    schemas = document["components"]["schemas"]
    envelope = schemas["Envelope"]
    names = {"specversion", "id", "source", "type", "subject", "time", "data"}
    assert envelope["properties"].keys() == set(envelope["required"]) == names
    assert set(schemas["EventType"]["enum"]) == {each.value for each in EventType}
    assert set(schemas["OrderState"]["enum"]) == {each.value for each in OrderState}
    query = document["operations"]["streamEvents"]["bindings"]["http"]["query"]["properties"]
    assert query.keys() == {"after", "order_id", "state", "type", "tenant"}


def _resolve(document: Json, node: Json) -> Json:
    """Return what a node refers to, or the node itself."""
    if "$ref" not in node:
        return node
    found = document
    for part in node["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return found


def _unresolved(document: Json, node: Any) -> list[str]:
    """Return all references that lead nowhere."""
    if isinstance(node, list):
        return [each for item in node for each in _unresolved(document, item)]
    if not isinstance(node, dict):
        return []
    missing = [each for item in node.values() for each in _unresolved(document, item)]
    if "$ref" in node:
        try:
            _resolve(document, node)
        except KeyError:
            missing.append(node["$ref"])
    return missing
