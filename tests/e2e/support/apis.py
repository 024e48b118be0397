"""A second API beside the fleet's, with settings of its own."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

import httpx

from tests.e2e.support.orders import PATIENCE, Orders
from tests.e2e.support.programs import Output, run_program


@asynccontextmanager
async def run_api(
    orders: Orders, free_port: Callable[[], int], env: Mapping[str, str]
) -> AsyncIterator[tuple[Output, httpx.AsyncClient]]:
    """Run it on the fleet's Postgres and Temporal until the block ends."""
    port, probe = free_port(), free_port()
    own = {
        "DATABASE_URL": orders.fleet.database_url,
        "TEMPORAL_ADDRESS": orders.fleet.temporal_address,
        "ORDERFLEET_API_PORT": str(port),
        "ORDERFLEET_PROBE_PORT": str(probe),
    }
    async with (
        run_program("orderfleet-api", env={**own, **env}) as api,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http,
    ):
        await api.until("serving")
        # The API logs the line just before it opens the socket.
        async with asyncio.timeout(PATIENCE):
            while not await _answers(http):
                pass
        yield api, http


async def _answers(http: httpx.AsyncClient) -> bool:
    try:
        await http.get("/docs/openapi.json")
    except httpx.ConnectError:
        await asyncio.sleep(0.05)
        return False
    return True
