"""An API without workers refuses orders, and accepts the first one after they have come.

Both have task queues of their own beside the fleet's.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Final
from uuid import uuid4

import httpx
import pytest
from temporalio.service import RPCError

from orderfleet.settings import CommonSettings
from orderfleet.temporal.client import connect
from orderfleet.temporal.task_queues import count_pollers, describe_task_queue
from tests.e2e.support.apis import run_api
from tests.e2e.support.orders import HOME, Orders, eventually, new_id
from tests.e2e.support.programs import run_program

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.alone]

_TENANTS: Final = ("shop", "rated")
_KEYS: Final = ",".join(f"{name}:{sha256(name.encode()).hexdigest()}" for name in _TENANTS)
_Ports = Callable[[], int]


async def test_without_workers_nothing_is_started(
    orders: Orders, unused_tcp_port_factory: _Ports
) -> None:
    queues = _queues()
    own = {**queues, "ORDERFLEET_API_KEYS": _KEYS, "ORDERFLEET_TENANT_RATES": "rated:0.1:2"}
    async with (
        run_api(orders, unused_tcp_port_factory, own) as (_, http),
        run_api(orders, unused_tcp_port_factory, {**queues, "ORDERFLEET_ADMISSION": "off"}) as off,
    ):
        order_id, left_waiting = new_id("away"), new_id("away")
        answer = await _place(http, order_id)
        assert _refusal(answer) == (503, "away"), answer.text
        assert answer.json()["detail"] == (
            f"No worker polls {queues['ORDER_TASK_QUEUE']} and {queues['SHIPPING_TASK_QUEUE']}."
        )
        client = await connect(CommonSettings(temporal_address=orders.fleet.temporal_address))
        with pytest.raises(RPCError, match="not found"):
            await client.get_workflow_handle(order_id).describe()
        assert (await orders.http.get(f"/orders/{order_id}")).status_code == 404
        assert (await _place(off[1], left_waiting)).status_code == 202

        async with _workers(orders, unused_tcp_port_factory, queues):
            # The first order is accepted, without a pause after the workers have come.
            assert (await _place(http, order_id)).status_code == 202
            rated = [new_id("rated") for _ in range(3)]
            answers = [await _place(http, one, "rated") for one in rated]
            assert [answer.status_code for answer in answers] == [202, 202, 429]
            assert _refusal(answers[2]) == (429, "rate")
            for accepted in (order_id, *rated[:2]):
                assert (await orders.ended(accepted))["state"] == "fulfilled"
            await orders.ended(left_waiting)


def _queues() -> dict[str, str]:
    suffix = uuid4().hex[:8]
    return {"ORDER_TASK_QUEUE": f"orders-{suffix}", "SHIPPING_TASK_QUEUE": f"shipping-{suffix}"}


@asynccontextmanager
async def _workers(
    orders: Orders,
    free_port: _Ports,
    queues: Mapping[str, str],
) -> AsyncIterator[None]:
    """Run both workers; they poll when the block begins."""
    own = {
        "DATABASE_URL": orders.fleet.database_url,
        "TEMPORAL_ADDRESS": orders.fleet.temporal_address,
        **queues,
    }
    order_port, shipping_port = ({"ORDERFLEET_PROBE_PORT": str(free_port())} for _ in range(2))
    async with (
        run_program("orderfleet-order-worker", env=own | order_port),
        run_program("orderfleet-shipping-worker", env=own | shipping_port),
    ):
        client = await connect(CommonSettings(temporal_address=orders.fleet.temporal_address))
        for queue in queues.values():

            async def pollers(queue: str = queue) -> int:
                return count_pollers(await describe_task_queue(client, queue, "workflow"))

            await eventually(pollers, bool)
        yield


async def _place(http: httpx.AsyncClient, order_id: str, tenant: str = "shop") -> httpx.Response:
    body = {"payment_id": f"pay-{order_id}", "address": HOME}
    headers = {"Authorization": f"Bearer {tenant}"}
    return await http.post(f"/orders/{order_id}/start", json=body, headers=headers, timeout=30)


def _refusal(answer: httpx.Response) -> tuple[int, str]:
    """Return status and reason; the wait is whole seconds, no longer than an order's time."""
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert int(answer.headers["Retry-After"]) in range(1, 16)
    return answer.status_code, answer.json()["reason"]
