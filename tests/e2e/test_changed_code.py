"""A worker that is started again with changed code, under a flow of orders: `make up`, Tilt."""

import asyncio
import shutil
import signal
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflow.v1 import WorkflowExecutionVersioningInfo
from temporalio.client import Client

import orderfleet_order_worker
from orderfleet.domain.orders import OrderState
from orderfleet.settings import CommonSettings
from orderfleet.store.pool import open_pool
from orderfleet.temporal.client import connect
from orderfleet_cli.local import Fleet, FleetOptions, Ports, run_fleet
from tests.e2e.support.orders import ENDS, Orders, clients, eventually

pytestmark = pytest.mark.alone

_FAILED = EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED
_EVERY_SECONDS = 0.4
# The begin of each order; the same commands in another build; a command more.
_BEGIN = "        await self._receive()\n"
_SAME = f"        # Changed.\n{_BEGIN}"
_OTHER = f"        await workflow.sleep(0.02)\n{_BEGIN}"


@asynccontextmanager
async def _fleet(data: Path, *, durable: bool = False) -> AsyncIterator[Orders]:
    options = FleetOptions(
        data=data,
        env={"ORDERFLEET_VERSIONING": "on"},
        ports=Ports.anywhere(),
        durable=durable,
    )
    async with (
        run_fleet(options) as fleet,
        clients(fleet) as http,
        open_pool(fleet.database_url, size=2, wait_seconds=5) as pool,
    ):
        yield Orders(http, pool, fleet)


@pytest.fixture
async def orders(tmp_path: Path) -> AsyncIterator[Orders]:
    async with _fleet(tmp_path / "fleet") as orders:
        yield orders


async def _restart(
    fleet: Fleet, source: Path, begin: str, number: signal.Signals | None = None
) -> None:
    """Stop the order worker, and start it with a copy of its source that begins orders so."""
    [package] = orderfleet_order_worker.__path__
    copy = source / orderfleet_order_worker.__name__
    shutil.copytree(package, copy)
    text = (copy / "workflow.py").read_text()
    assert text.count(_BEGIN) == 1
    (copy / "workflow.py").write_text(text.replace(_BEGIN, begin))
    assert await fleet.stop("order-worker", number) == -(number or 0)
    await fleet.start("order-worker", {"PYTHONPATH": str(source)})


async def _placed_around(orders: Orders, restart: Awaitable[None]) -> list[str]:
    """Place orders before, during and after a restart."""
    placed: list[str] = []

    async def flow() -> None:
        while True:
            placed.append(await orders.place("flow"))
            await asyncio.sleep(_EVERY_SECONDS)

    flowing = asyncio.create_task(flow())
    try:
        await asyncio.sleep(4)
        await restart
        await asyncio.sleep(4)
    finally:
        flowing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await flowing
    return placed


async def _all_fulfilled(orders: Orders, placed: list[str]) -> None:
    ended = await asyncio.gather(*map(orders.ended, placed))
    assert {order["state"] for order in ended} == {OrderState.FULFILLED}


async def _versioning(orders: Orders, placed: list[str]) -> list[WorkflowExecutionVersioningInfo]:
    """Return what Temporal has of the orders' builds; none of their workflow tasks failed."""
    temporal = await connect(CommonSettings(temporal_address=orders.fleet.temporal_address))
    return [await _info(temporal, order_id) for order_id in placed]


async def _info(temporal: Client, order_id: str) -> WorkflowExecutionVersioningInfo:
    handle = temporal.get_workflow_handle(order_id)
    types = [event.event_type for event in (await handle.fetch_history()).events]
    assert _FAILED not in types
    info = (await handle.describe()).raw_description.workflow_execution_info
    return info.versioning_info


async def test_every_order_ends_in_time_on_the_code_on_which_it_began(
    orders: Orders, tmp_path: Path
) -> None:
    placed = await _placed_around(orders, _restart(orders.fleet, tmp_path / "source", _OTHER))
    await _all_fulfilled(orders, placed)
    infos = await _versioning(orders, placed)
    builds = [info.deployment_version.build_id for info in infos]
    assert len(set(builds)) == 2
    assert builds == sorted(builds, key=builds.index)
    assert not any(info.versioning_override.auto_upgrade for info in infos)


async def test_the_next_build_goes_on_with_the_orders_of_a_killed_worker(
    orders: Orders, tmp_path: Path
) -> None:
    restart = _restart(orders.fleet, tmp_path / "source", _SAME, signal.SIGKILL)
    placed = await _placed_around(orders, restart)
    await _all_fulfilled(orders, placed)
    infos = await _versioning(orders, placed)
    assert len({info.deployment_version.build_id for info in infos}) == 2
    assert any(info.versioning_override.auto_upgrade for info in infos)


async def test_an_order_that_the_next_build_cannot_replay_times_out_and_keeps_no_money(
    orders: Orders, tmp_path: Path
) -> None:
    restart = _restart(orders.fleet, tmp_path / "source", _OTHER, signal.SIGKILL)
    placed = await _placed_around(orders, restart)

    async def states() -> set[str]:
        return {(await orders.show(order_id))["state"] for order_id in placed}

    assert await eventually(states, ENDS.issuperset) == {
        OrderState.FULFILLED,
        OrderState.TIMED_OUT,
    }
    await orders.balanced()


async def test_a_fleet_that_stops_ends_its_orders_first(tmp_path: Path) -> None:
    async with _fleet(tmp_path / "fleet", durable=True) as orders:
        order_id = await orders.place("flow")
        await orders.until(order_id, "validated")
    stopped = datetime.now(UTC)
    async with _fleet(tmp_path / "fleet", durable=True) as orders:
        order = await orders.show(order_id)
    assert order["state"] == OrderState.FULFILLED
    assert datetime.fromisoformat(order["events"][-1]["ts"]) < stopped
