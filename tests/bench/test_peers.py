"""Each peer fulfils an order as the fleet does, or gives the same JSON: else they are no peers."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import httpx
import psutil
import pytest
import pytest_asyncio
from temporalio.client import Client

from orderfleet.domain.events import Event, EventType
from orderfleet.domain.orders import Address, Item, Order, OrderState
from orderfleet.store import simulated_ledger
from orderfleet.store.pool import Pool, open_pool
from orderfleet.store.queries import find_order
from orderfleet.store.transitions import move, receive
from orderfleet_api.app import create_app
from orderfleet_api.backends import Backends
from orderfleet_api.settings import ApiSettings
from orderfleet_cli.local.ports import LOOPBACK, PortFinder
from orderfleet_cli.local.processes import Process, Program, answers, environment, run_once
from tests.integration.support.servers import Database, Servers, run_servers

ROOT = Path(__file__).parents[2]
BODY = {"payment_id": "payment-1", "address": {"street": "1 Main St", "city": "Springfield"}}
STEPS = [
    *("received", "validated", "reviewed", "charging", "charged"),
    *("prepared", "dispatching", "fulfilled"),
]
PATIENCE = 30.0


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def servers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Servers]:
    async with run_servers(tmp_path_factory.mktemp("servers")) as running:
        yield running


@pytest.fixture
async def database(servers: Servers) -> AsyncIterator[Database]:
    """Give the fleet's own tables."""
    async with servers.database() as made:
        yield made


@pytest.fixture
async def empty(servers: Servers) -> AsyncIterator[Database]:
    async with servers.database(migrated=False) as made:
        yield made


class Peer:
    """A peer's programs, each on its own."""

    def __init__(self, name: str, data: Path, url: str, **env: str) -> None:
        self._name = f"tests.bench.peers.{name}."
        self._data = data
        self._port = PortFinder(print).take(name, 0)
        self.url = f"http://{LOOPBACK}:{self._port}"
        own = {"DATABASE_URL": url, "PORT": str(self._port), "PYTHONPATH": str(ROOT)}
        self._env = environment() | own | env

    def api(self) -> Process:
        return self._process("api", lambda: answers(self._port, "/ready"))

    def worker(self) -> Process:
        async def ready() -> bool:
            # Nothing asks a worker: its orders are waited for.
            return True

        return self._process("worker", ready)

    async def create_tables(self) -> None:
        await run_once("tables", self._argv("create_tables"), self._env, self._data)

    def _process(self, part: str, ready: Callable[[], Awaitable[bool]]) -> Process:
        program = Program(name=part, argv=self._argv(part), env=self._env, ready=ready)
        return Process(program, self._data)

    def _argv(self, part: str) -> tuple[str, ...]:
        return (sys.executable, "-m", self._name + part)


@asynccontextmanager
async def running(*processes: Process) -> AsyncIterator[None]:
    """Run them, and see to it that they talk to nobody but this machine."""
    try:
        for process in processes:
            await process.start()
        yield
        for process in processes:
            connections = psutil.Process(process.pid).net_connections()
            assert {one.raddr[0] for one in connections if len(one.raddr)} == {LOOPBACK}
    finally:
        for process in processes:
            await process.stop()


async def place(url: str, order_id: str) -> None:
    async with httpx.AsyncClient(base_url=url) as http:
        answer = await http.post(f"/orders/{order_id}/start", json=BODY)
        assert (answer.status_code, answer.json()["state"]) == (202, "received"), answer.text


async def fulfilled(url: str, order_id: str) -> None:
    found = "nothing"
    try:
        async with asyncio.timeout(PATIENCE), httpx.AsyncClient(base_url=url) as http:
            while found != "fulfilled":
                answer = await http.get(f"/orders/{order_id}")
                found = answer.json().get("state", found)
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"{order_id} is {found}") from None


async def recorded(url: str, order_id: str, order_by: str) -> None:
    """Check what the order left behind: its events, one charge, one package."""
    async with open_pool(url, size=1, wait_seconds=0) as pool:
        events = await pool.fetch(
            f"SELECT type FROM events WHERE order_id = $1 ORDER BY {order_by}",  # noqa: S608 (ours)
            order_id,
        )
        assert [event["type"] for event in events] == STEPS
        book = await simulated_ledger.balance(pool)
        assert (book.balanced, book.captured, book.fulfilled) == (True, "1.00", "1.00")
        assert await pool.fetchval("SELECT status FROM payments") == "captured"
        assert await pool.fetchval("SELECT count(*) FROM gateway.charges") == 1
        assert await pool.fetchval("SELECT count(*) FROM gateway.shipments") == 1


async def test_the_common_way_fulfils(servers: Servers, empty: Database, tmp_path: Path) -> None:
    env = {"TEMPORAL_ADDRESS": servers.temporal.address, "REVIEW_SECONDS": "1"}
    peer = Peer("common_way", tmp_path, empty.owner_url, **env)
    await peer.create_tables()
    async with running(peer.worker(), peer.api()):
        await place(peer.url, "common-1")
        await fulfilled(peer.url, "common-1")
    await recorded(empty.owner_url, "common-1", "id")


async def test_the_common_way_cancels(servers: Servers, empty: Database, tmp_path: Path) -> None:
    env = {"TEMPORAL_ADDRESS": servers.temporal.address, "REVIEW_SECONDS": "60"}
    peer = Peer("common_way", tmp_path, empty.owner_url, **env)
    await peer.create_tables()
    async with running(peer.worker(), peer.api()):
        await place(peer.url, "common-2")
        temporal = await Client.connect(servers.temporal.address)
        handle = temporal.get_workflow_handle("common-2")
        await handle.signal("cancel")
        assert await handle.result() == "cancelled"
        assert await handle.query("status") == "cancelled"
    async with open_pool(empty.owner_url, size=1, wait_seconds=0) as pool:
        assert await pool.fetchval("SELECT state FROM orders") == "cancelled"


async def test_dbos_fulfils(database: Database, tmp_path: Path) -> None:
    peer = Peer("dbos_orders", tmp_path, database.owner_url, REVIEW_SECONDS="0.2")
    async with running(peer.api()):
        await place(peer.url, "dbos-1")
        await fulfilled(peer.url, "dbos-1")
    await recorded(database.owner_url, "dbos-1", "number")


async def test_dbos_goes_on_after_a_kill(database: Database, tmp_path: Path) -> None:
    peer = Peer("dbos_orders", tmp_path, database.owner_url, REVIEW_SECONDS="2")
    api = peer.api()
    async with running(api), open_pool(database.url, size=1, wait_seconds=0) as pool:
        await place(peer.url, "dbos-2")
        await in_review(pool, "dbos-2")
        assert await api.stop(signal.SIGKILL) == -signal.SIGKILL
        await api.start()
        await fulfilled(peer.url, "dbos-2")
    await recorded(database.owner_url, "dbos-2", "number")


async def test_reads_are_the_same(servers: Servers, database: Database, tmp_path: Path) -> None:
    peer = Peer("fastapi_reads", tmp_path, database.url)
    settings = ApiSettings(database_url=database.url)
    async with (
        open_pool(database.owner_url, size=1, wait_seconds=0) as owner,
        open_pool(database.url, size=5, wait_seconds=0) as pool,
        running(peer.api()),
        httpx.AsyncClient(base_url=peer.url) as theirs,
    ):
        await fill(owner)
        temporal = await Client.connect(servers.temporal.address)
        app = cast("Any", create_app(Backends(pool, temporal, settings)))
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as ours:
            page = "/orders?limit=2"
            after = (await ours.get(page)).json()["next"]
            paths = [f"/orders/read-{number}" for number in range(4)]
            paths += ["/orders", page, f"{page}&cursor={after}", "/orders?state=charged"]
            for path in paths:
                one, other = await ours.get(path), await theirs.get(path)
                assert (one.status_code, other.status_code) == (200, 200), path
                assert one.json() == other.json(), path
                assert "read-" in one.text
            for path in ("/orders/none", "/orders?limit=0", "/orders?state=odd", "/orders/-"):
                refused = (await ours.get(path)).status_code
                assert refused >= 400
                assert (await theirs.get(path)).status_code == refused, path


async def in_review(pool: Pool, order_id: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            order = await find_order(pool, order_id)
            if order is not None and order.state is OrderState.IN_REVIEW:
                return
            await asyncio.sleep(0.05)


async def fill(owner: Pool) -> None:
    """Write orders with all that an answer can hold; times with and without a fraction."""
    for number in range(4):
        address = Address("1 Main St", "Springfield", country="US")
        items = [Item("ABC", 2, "7.50"), Item("Ünï", 1, "0.01")]
        order = Order(payment_id=f"pay-{number}", address=address, items=items, currency="EUR")
        order_id = f"read-{number}"
        await receive(owner, order_id, order, {"actor": "someone"})
        event = Event(EventType.VALIDATED, "validated", {"attempt": 1, "n": None})
        await move(owner, order_id, [event], to=OrderState.IN_REVIEW)
        await owner.execute(
            "INSERT INTO payments (payment_id, order_id, status, amount, currency)"
            " SELECT payment_id, id, 'captured', amount, currency FROM orders WHERE id = $1",
            order_id,
        )
    await owner.execute("UPDATE orders SET created_at = '2026-01-01 00:00Z' WHERE id = 'read-1'")
    await owner.execute(
        "UPDATE orders SET created_at = '2026-01-01 00:00:00.12Z', state = 'charged'"
        " WHERE id = 'read-2'"
    )
