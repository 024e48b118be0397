"""The AsyncAPI document of the streams, from the types that they send."""

from functools import cache
from importlib.metadata import version
from typing import Any, Final

import msgspec

from orderfleet.store.queries import EventRow
from orderfleet_api.feed import sse
from orderfleet_api.feed.envelope import Envelope

_ABOUT: Final = (
    "The audit logs of all orders as server-sent events. Each message has a cursor as its `id`: a "
    "client that reconnects with it as `Last-Event-ID` misses nothing and gets nothing twice. "
    "Requires the role `read`."
)
_QUERY: Final = {
    "after": "A cursor: the events after it. Empty is the beginning; left out, it is now.",
    "order_id": "Only events of these orders.",
    "state": "Only events that left their order in these states.",
    "type": "Only events of these types.",
    "tenant": "Only events of orders placed with these API keys.",
}


@cache
def document() -> dict[str, Any]:
    """Return the document, AsyncAPI 3.0."""
    (envelope, row), schemas = msgspec.json.schema_components(
        [Envelope, EventRow], ref_template="#/components/schemas/{name}"
    )
    every = _channel("events", "/events", "The events of all orders.")
    of_order = _channel("orderEvents", "/orders/{order_id}/events", "The events of one order.")
    of_order["parameters"] = {"order_id": {"description": "The order's id."}}
    parameters = {
        name: {"type": "string", "description": description} for name, description in _QUERY.items()
    }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Orderfleet events",
            "version": version("orderfleet-api"),
            "description": _ABOUT,
        },
        "defaultContentType": "application/json",
        "channels": {"events": every, "orderEvents": of_order},
        "operations": {
            "streamEvents": _operation("events", {"type": "object", "properties": parameters}),
            "streamOrderEvents": _operation("orderEvents", {"type": "object"}),
        },
        "components": {
            "messages": {
                "events": _message("An event of any order, a CloudEvent.", envelope),
                "orderEvents": _message("An event of this order.", row),
            },
            "schemas": schemas,
        },
    }


def _channel(name: str, address: str, description: str) -> dict[str, Any]:
    return {
        "address": address,
        "description": description,
        "messages": {name: {"$ref": f"#/components/messages/{name}"}},
    }


def _operation(channel: str, query: dict[str, Any]) -> dict[str, Any]:
    return {
        "action": "send",
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": [{"$ref": f"#/channels/{channel}/messages/{channel}"}],
        "bindings": {"http": {"method": "GET", "query": query, "bindingVersion": "0.3.0"}},
    }


def _message(summary: str, payload: dict[str, Any]) -> dict[str, Any]:
    return {"summary": summary, "contentType": sse.MEDIA_TYPE, "payload": payload}
