"""A second API beside the fleet's, with settings of its own."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from hashlib import sha256
from typing import Final

import httpx

from tests.e2e.support.orders import PATIENCE, Orders
from tests.e2e.support.programs import Output, run_program

# Of a client that may read, and of one that may decide too.
READER: Final = "a reader's key"
DESK: Final = "a desk's key"


@asynccontextmanager
async def run_desk(orders: Orders, free_port: Callable[[], int]) -> AsyncIterator[Orders]:
    """Run an API with both keys; return its orders, as the desk's client.

    A review waits for 9 s there, which is time enough for a person, and for a browser.
    """
    digests = {key: sha256(key.encode()).hexdigest() for key in (READER, DESK)}
    env = {
        "ORDERFLEET_API_KEYS": f"reader:{digests[READER]}:read,desk:{digests[DESK]}",
        "REVIEW_SECONDS": "9",
        "ORDERFLEET_TEMPORAL_UI_URL": orders.fleet.temporal_ui_url,
    }
    async with run_api(orders, free_port, env) as (_, http):
        http.headers["Authorization"] = f"Bearer {DESK}"
        yield replace(orders, http=http)


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
