"""One value for IPv4 and IPv6, for the API, for the internal port and for who asks them."""

from collections.abc import Callable
from http import HTTPStatus

import httpx
import pytest

from tests.e2e.support.apis import run_api
from tests.e2e.support.orders import Orders
from tests.e2e.support.programs import run_program

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize("host", ["::", "[::]"])
async def test_both_families_reach_both_ports(
    orders: Orders, unused_tcp_port_factory: Callable[[], int], host: str
) -> None:
    probe = unused_tcp_port_factory()
    env = {
        "ORDERFLEET_API_HOST": host,
        "ORDERFLEET_API_OPEN": "true",
        "ORDERFLEET_PROBE_HOST": host,
        "ORDERFLEET_PROBE_PORT": str(probe),
    }
    async with run_api(orders, unused_tcp_port_factory, env) as (_, http):
        port = http.base_url.port
        for loopback in ("127.0.0.1", "[::1]"):
            assert (await http.get(f"http://{loopback}:{port}/health")).is_success
            assert (await http.get(f"http://{loopback}:{probe}/readyz")).is_success
        given = {"ORDERFLEET_URL": f"http://[::1]:{port}"}
        async with run_program("orderfleet", "list", "--limit", "1", env=given) as listed:
            assert await listed.end() == 0, listed.lines


@pytest.mark.parametrize(("host", "started"), [("[::1]", True), ("::1", True), ("::", False)])
async def test_only_loopback_needs_no_key(
    orders: Orders, unused_tcp_port_factory: Callable[[], int], host: str, *, started: bool
) -> None:
    port = unused_tcp_port_factory()
    env = {
        "DATABASE_URL": orders.fleet.database_url,
        "TEMPORAL_ADDRESS": orders.fleet.temporal_address,
        "ORDERFLEET_API_HOST": host,
        "ORDERFLEET_API_PORT": str(port),
        "ORDERFLEET_PROBE_PORT": str(unused_tcp_port_factory()),
    }
    async with run_program("orderfleet-api", env=env) as api:
        if not started:
            assert await api.end() == 2
            assert api.lines[-1].startswith("orderfleet-api: ORDERFLEET_API_KEYS: needed on ::")
            return
        await api.until("serving")
        async with httpx.AsyncClient(trust_env=False) as http:
            answer = await http.get(f"http://[::1]:{port}/health")
        assert answer.status_code == HTTPStatus.OK


@pytest.mark.parametrize("taken", ["ORDERFLEET_API_PORT", "ORDERFLEET_PROBE_PORT"])
async def test_a_port_that_is_taken_is_one_line(
    orders: Orders, unused_tcp_port_factory: Callable[[], int], taken: str
) -> None:
    port = str(httpx.URL(orders.fleet.api_url).port)
    env = {
        "DATABASE_URL": orders.fleet.database_url,
        "TEMPORAL_ADDRESS": orders.fleet.temporal_address,
        "ORDERFLEET_API_PORT": str(unused_tcp_port_factory()),
        "ORDERFLEET_PROBE_PORT": str(unused_tcp_port_factory()),
    }
    async with run_program("orderfleet-api", env=env | {taken: port}) as api:
        assert await api.end() == 1
        assert api.lines[-1].endswith(f"127.0.0.1:{port}: Address already in use")
