"""An API with keys."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path

import pytest

from orderfleet.polling import poll
from orderfleet.watched_files import LOOK_SECONDS
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
        placed = await replace(orders, http=http).start(order_id, headers=first)
        assert placed.status_code == HTTPStatus.ACCEPTED
        cancelled = await http.post(cancel, headers=second)
        assert cancelled.status_code == HTTPStatus.OK
        schemes = (await http.get("/docs/openapi.json")).json()["components"]["securitySchemes"]
        assert [scheme["scheme"] for scheme in schemes.values()] == ["bearer"]
    events = {event["type"]: event["payload"] for event in (await orders.show(order_id))["events"]}
    assert events["received"]["actor"] == "shop"
    assert events["cancelled"]["actor"] == "shop-next"


async def test_a_file_of_keys_is_changed_while_the_api_serves(
    orders: Orders, unused_tcp_port_factory: Callable[[], int], tmp_path: Path
) -> None:
    lines = _keys()["ORDERFLEET_API_KEYS"].split(",")
    path = tmp_path / "keys"
    path.write_text(lines[0])
    env = {"ORDERFLEET_API_KEYS_FILE": str(path)}
    async with run_api(orders, unused_tcp_port_factory, env) as (_, http):

        async def statuses() -> list[int]:
            return [
                (await http.get("/orders", headers={"Authorization": f"Bearer {key}"})).status_code
                for key in (_KEY, _NEXT)
            ]

        assert await statuses() == [HTTPStatus.OK, HTTPStatus.UNAUTHORIZED]
        for text, expected in (
            ("\n".join(lines), [HTTPStatus.OK, HTTPStatus.OK]),
            (lines[1], [HTTPStatus.UNAUTHORIZED, HTTPStatus.OK]),
        ):
            path.write_text(text)
            seen = await poll(statuses, expected.__eq__, seconds=LOOK_SECONDS + 1)
            assert seen == expected
        path.write_text("broken")
        await asyncio.sleep(LOOK_SECONDS + 0.5)
        assert await statuses() == [HTTPStatus.UNAUTHORIZED, HTTPStatus.OK]
