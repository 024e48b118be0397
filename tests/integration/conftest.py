from collections.abc import AsyncIterator
from typing import Any, cast
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio
from temporalio.client import Client
from temporalio.runtime import Runtime, TelemetryConfig

from orderfleet.observability.sdk_metrics import WORKER_HEARTBEATS
from orderfleet.settings import CommonSettings
from orderfleet.store.pool import Pool, open_pool
from orderfleet.temporal.client import connect
from orderfleet_api.app import create_app
from tests.integration.support.fleet import Fleet
from tests.integration.support.servers import Database, Servers, run_servers


@pytest.fixture(scope="session", autouse=True)
def _heartbeats() -> None:
    """Let workers in this process send heartbeats as often as the fleet's own do."""
    Runtime.set_default(
        Runtime(telemetry=TelemetryConfig(), worker_heartbeat_interval=WORKER_HEARTBEATS),
        # Of tests elsewhere, in the same process.
        error_if_already_set=False,
    )


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def servers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Servers]:
    async with run_servers(tmp_path_factory.mktemp("servers")) as running:
        yield running


@pytest.fixture
async def database(servers: Servers) -> AsyncIterator[Database]:
    async with servers.database() as made:
        yield made


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[Pool]:
    """Connections of the fleet's own role."""
    async with open_pool(database.url, size=20, wait_seconds=0) as opened:
        yield opened


@pytest.fixture
async def owner(database: Database) -> AsyncIterator[Pool]:
    """Connections of the owner, who may put rows into any state."""
    async with open_pool(database.owner_url, size=5, wait_seconds=0) as opened:
        yield opened


@pytest.fixture
async def fleet(servers: Servers, database: Database, pool: Pool) -> Fleet:
    address = servers.temporal.address
    client = await connect(CommonSettings(temporal_address=address))
    return Fleet(database, pool, pool, client, address, uuid4().hex[:8])


@pytest.fixture
async def http(fleet: Fleet) -> AsyncIterator[httpx.AsyncClient]:
    """Serve the API in this process."""
    # Litestar types its messages more narrowly than httpx does.
    app = cast("Any", create_app(fleet.backends()))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


@pytest.fixture
async def client(servers: Servers) -> Client:
    return await connect(CommonSettings(temporal_address=servers.temporal.address))


@pytest.fixture
def queue() -> str:
    return f"versions-{uuid4().hex[:8]}"
