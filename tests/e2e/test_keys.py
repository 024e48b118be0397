"""An API with keys."""

from collections.abc import Callable
from hashlib import sha256
from http import HTTPStatus

import pytest

from tests.e2e.support.apis import run_api
from tests.e2e.support.orders import HOME, Orders, new_id

pytestmark = pytest.mark.asyncio(loop_scope="session")

_KEY, _NEXT = "first key", "second key"


def _keys() -> dict[str, str]:
    digests = [sha256(key.encode()).hexdigest() for key in (_KEY, _NEXT)]
    return {"ORDERFLEET_API_KEYS": f"shop:{digests[0]},shop-next:{digests[1]}"}


async def test_a_key_is_required_and_its_name_is_on_record(
    orders: Orders, unused_tcp_port_factory: Callable[[], int]
) -> None:
    order_id = new_id("plain")
    body = {"payment_id": f"pay-{order_id}", "address": HOME}
    start, cancel = f"/orders/{order_id}/start", f"/orders/{order_id}/signals/cancel"
    async with run_api(orders, unused_tcp_port_factory, _keys()) as (_, http):
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": _KEY}):
            for method, path in (("GET", "/orders"), ("POST", start), ("POST", cancel)):
                answer = await http.request(method, path, headers=headers, json=body)
                assert answer.status_code == HTTPStatus.UNAUTHORIZED
                assert answer.headers["WWW-Authenticate"].startswith("Bearer")
                assert answer.headers["Content-Type"] == "application/problem+json"
        first = {"Authorization": f"Bearer {_KEY}"}
        second = {"Authorization": f"Bearer {_NEXT}"}
        placed = await http.post(start, json=body, headers=first)
        assert placed.status_code == HTTPStatus.ACCEPTED
        cancelled = await http.post(cancel, headers=second)
        assert cancelled.status_code == HTTPStatus.OK
        schemes = (await http.get("/docs/openapi.json")).json()["components"]["securitySchemes"]
        assert [scheme["scheme"] for scheme in schemes.values()] == ["bearer"]
    events = {event["type"]: event["payload"] for event in (await orders.show(order_id))["events"]}
    assert events["received"]["actor"] == "shop"
    assert events["cancelled"]["actor"] == "shop-next"
