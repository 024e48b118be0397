"""A Temporal that is too busy to take more."""

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path

import httpx
import pytest

from orderfleet_cli.local.processes import answers
from tests.e2e.support.apis import run_api
from tests.e2e.support.orders import HOME, Orders, new_id
from tests.e2e.support.programs import run_program

pytestmark = pytest.mark.asyncio(loop_scope="session")

_READY = "/api/v1/namespaces/default"
_BUSY = ("frontend.namespaceRPS=3", "frontend.namespaceBurstRatio=1.0")


async def test_it_is_told_apart_from_one_that_is_away(
    orders: Orders, unused_tcp_port_factory: Callable[[], int], tmp_path: Path
) -> None:
    port, ui = unused_tcp_port_factory(), unused_tcp_port_factory()
    limits = [argument for limit in _BUSY for argument in ("--dynamic-config-value", limit)]
    server = ("server", "start-dev", "--ip", "127.0.0.1", "--port", str(port))
    own = ("--ui-port", str(ui), "--search-attribute", "OrderState=Keyword", *limits)
    async with run_program("temporal", *server, *own, cwd=tmp_path):
        async with asyncio.timeout(30):
            while not await answers(ui, _READY):  # noqa: ASYNC110 (another process)
                await asyncio.sleep(0.1)
        address = {"TEMPORAL_ADDRESS": f"127.0.0.1:{port}"}
        async with run_api(orders, unused_tcp_port_factory, address) as (_, http):
            http.timeout = httpx.Timeout(30)
            placed = await asyncio.gather(*(_place(http) for _ in range(40)))
        assert HTTPStatus.ACCEPTED in {answer.status_code for answer in placed}
        refused = [answer for answer in placed if answer.status_code != HTTPStatus.ACCEPTED]
        assert {answer.status_code for answer in refused} == {HTTPStatus.TOO_MANY_REQUESTS}
        assert all(int(answer.headers["Retry-After"]) > 0 for answer in refused)
        # Nothing is half done: what was refused is unknown.
        for answer in refused[:3]:
            order_id = answer.url.path.split("/")[2]
            shown = await orders.http.get(f"/orders/{order_id}")
            assert shown.status_code == HTTPStatus.NOT_FOUND


async def _place(http: httpx.AsyncClient) -> httpx.Response:
    order_id = new_id("busy")
    body = {"payment_id": f"pay-{order_id}", "address": HOME}
    return await http.post(f"/orders/{order_id}/start", json=body)
