"""Orders that cannot end in time are refused, and those that are accepted end in time.

Each test has an API and workers of its own beside the fleet's, on task queues of their own.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Final
from uuid import uuid4

import httpx
import msgspec
import pytest
from temporalio.service import RPCError

from orderfleet.gateways.simulated import Fault
from orderfleet.settings import CommonSettings
from orderfleet.temporal.client import connect
from orderfleet.temporal.queue_workers import list_queue_workers
from tests.e2e.support.apis import run_api
from tests.e2e.support.orders import ELSEWHERE, HOME, Orders, eventually, new_id, trail, types
from tests.e2e.support.programs import run_program

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.alone]

_TENANTS: Final = ("flood", "small", "rated")
_KEYS: Final = ",".join(f"{name}:{sha256(name.encode()).hexdigest()}" for name in _TENANTS)
# Two slots and 0.4 s a charge: 5 orders a second.
_SLOW: Final = Fault(at="charge", kind="hang_before", seconds=0.4)
_FLOOD_PER_SECOND: Final = 10
_SMALL_ORDERS: Final = 2

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


async def test_orders_beyond_a_slow_gateway_are_refused_and_the_others_end_in_time(
    orders: Orders, unused_tcp_port_factory: _Ports
) -> None:
    """One tenant floods the API with twice what the gateway can do, and starves nobody.

    A tenant none of whose orders waits always gets in.
    """
    queues = _queues()
    slow = {
        "ORDERFLEET_ACTIVITY_SLOTS": "2",
        "ORDERFLEET_GATEWAY_FAULTS": msgspec.json.encode([_SLOW]).decode(),
    }
    async with (
        _workers(orders, unused_tcp_port_factory, queues, slow),
        run_api(orders, unused_tcp_port_factory, {**queues, "ORDERFLEET_API_KEYS": _KEYS}) as (
            _,
            http,
        ),
    ):
        first = new_id("flood")
        assert (await _place(http, first)).status_code == 202
        repeats: list[int] = []

        async def repeat() -> None:
            while True:
                await asyncio.sleep(0.5)
                again, other = await _place(http, first), await _place(http, first, home=ELSEWHERE)
                repeats.extend((again.status_code, other.status_code))

        repeating = asyncio.create_task(repeat())
        enough = asyncio.Event()
        flood: dict[str, httpx.Response] = {}
        small: dict[str, httpx.Response] = {}
        flooding = asyncio.create_task(_flood(http, enough, flood))

        async def refused_alone() -> bool:
            return any(answer.is_error for answer in flood.values())

        await eventually(refused_alone, bool)
        for _ in range(_SMALL_ORDERS):
            order_id = new_id("small")
            small[order_id] = await _place(http, order_id, "small")
            assert small[order_id].status_code == 202, small[order_id].text
            await orders.ended(order_id)
            # The API looks twice a second who still waits.
            await asyncio.sleep(1)
        enough.set()
        await flooding
        repeating.cancel()
        assert set(repeats[::2]) == {202}
        assert set(repeats[1::2]) == {409}

        refused = Counter(_refusal(answer) for answer in flood.values() if answer.is_error)
        # `share` while the other tenant has an order that waits, too.
        assert set(refused) <= {(429, "busy"), (429, "share")}, refused
        assert refused[429, "busy"] > 0

        accepted = [
            order_id for order_id, answer in (flood | small).items() if answer.status_code == 202
        ]
        assert len(accepted) > 20
        ended = await asyncio.gather(*(orders.ended(order_id) for order_id in accepted))
        for order in ended:
            assert order["state"] == "fulfilled", trail(order)
            assert types(order).count("charged") == 1
            assert await orders.charges(order["id"]) == ["captured"]


def _queues() -> dict[str, str]:
    suffix = uuid4().hex[:8]
    return {"ORDER_TASK_QUEUE": f"orders-{suffix}", "SHIPPING_TASK_QUEUE": f"shipping-{suffix}"}


@asynccontextmanager
async def _workers(
    orders: Orders,
    free_port: _Ports,
    queues: Mapping[str, str],
    env: Mapping[str, str] | None = None,
) -> AsyncIterator[None]:
    """Run both workers; they poll when the block begins."""
    own = {
        "DATABASE_URL": orders.fleet.database_url,
        "TEMPORAL_ADDRESS": orders.fleet.temporal_address,
        **queues,
        **(env or {}),
    }
    order_port, shipping_port = ({"ORDERFLEET_PROBE_PORT": str(free_port())} for _ in range(2))
    async with (
        run_program("orderfleet-order-worker", env=own | order_port),
        run_program("orderfleet-shipping-worker", env=own | shipping_port),
    ):
        client = await connect(CommonSettings(temporal_address=orders.fleet.temporal_address))
        for queue in queues.values():

            async def pollers(queue: str = queue) -> int:
                return len((await list_queue_workers(client, queue)).workers)

            await eventually(pollers, bool)
        yield


async def _place(
    http: httpx.AsyncClient,
    order_id: str,
    tenant: str = "flood",
    home: Mapping[str, str] = HOME,
) -> httpx.Response:
    body = {"payment_id": f"pay-{order_id}", "address": home}
    headers = {"Authorization": f"Bearer {tenant}"}
    return await http.post(f"/orders/{order_id}/start", json=body, headers=headers, timeout=30)


async def _flood(
    http: httpx.AsyncClient, enough: asyncio.Event, answers: dict[str, httpx.Response]
) -> None:
    """Place orders at a rate, whatever the answers, until there are enough."""

    async def place() -> None:
        order_id = new_id("flood")
        answers[order_id] = await _place(http, order_id)

    async with asyncio.TaskGroup() as placing:
        while not enough.is_set():
            placing.create_task(place())
            await asyncio.sleep(1 / _FLOOD_PER_SECOND)


def _refusal(answer: httpx.Response) -> tuple[int, str]:
    """Return status and reason; the wait is whole seconds, no longer than an order's time."""
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert int(answer.headers["Retry-After"]) in range(1, 16)
    return answer.status_code, answer.json()["reason"]
