"""A worker that is started again with changed code, under a flow of orders: `make up`, Tilt."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client

import orderfleet_order_worker
from orderfleet.domain.orders import OrderState
from orderfleet.settings import CommonSettings
from orderfleet.temporal.client import connect
from orderfleet_cli.local import Fleet, FleetOptions, Ports, run_fleet
from tests.e2e.support.orders import HOME, PATIENCE, eventually

pytestmark = pytest.mark.alone

_FAILED = EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED
_EVERY_SECONDS = 0.4


@pytest.fixture
async def versioned(tmp_path: Path) -> AsyncIterator[Fleet]:
    options = FleetOptions(
        data=tmp_path / "fleet", env={"ORDERFLEET_VERSIONING": "on"}, ports=Ports.anywhere()
    )
    async with run_fleet(options) as fleet:
        yield fleet


@pytest.fixture
def changed(tmp_path: Path) -> Path:
    """Copy the order worker's source, with a command more at the begin of each order."""
    source = tmp_path / "source"
    [package] = orderfleet_order_worker.__path__
    shutil.copytree(package, source / orderfleet_order_worker.__name__)
    workflow = source / orderfleet_order_worker.__name__ / "workflow.py"
    first = "        await self._receive()\n"
    text = workflow.read_text()
    assert text.count(first) == 1
    workflow.write_text(text.replace(first, f"        await workflow.sleep(0.02)\n{first}"))
    return source


async def _flow(http: httpx.AsyncClient, placed: list[str]) -> None:
    while True:
        order_id = f"flow-{len(placed)}"
        body = {"payment_id": f"pay-{order_id}", "address": HOME}
        assert (await http.post(f"/orders/{order_id}/start", json=body)).status_code == 202
        placed.append(order_id)
        await asyncio.sleep(_EVERY_SECONDS)


async def _end(http: httpx.AsyncClient, order_id: str) -> OrderState:
    """Wait for the order's end."""

    async def state() -> OrderState:
        return OrderState((await http.get(f"/orders/{order_id}")).json()["state"])

    return await eventually(state, lambda state: state.ended)


async def _build(temporal: Client, order_id: str) -> str:
    """Return an order's build; none of its workflow tasks failed."""
    handle = temporal.get_workflow_handle(order_id)
    types = [event.event_type for event in (await handle.fetch_history()).events]
    assert _FAILED not in types
    info = (await handle.describe()).raw_description.workflow_execution_info
    return info.versioning_info.deployment_version.build_id


async def test_every_order_ends_in_time_on_the_code_on_which_it_began(
    versioned: Fleet, changed: Path
) -> None:
    placed: list[str] = []
    async with httpx.AsyncClient(
        base_url=versioned.api_url, trust_env=False, timeout=PATIENCE
    ) as http:
        flow = asyncio.create_task(_flow(http, placed))
        try:
            await asyncio.sleep(4)
            assert await versioned.stop("order-worker") == 0
            await versioned.start("order-worker", {"PYTHONPATH": str(changed)})
            await asyncio.sleep(4)
        finally:
            flow.cancel()
            await asyncio.gather(flow, return_exceptions=True)
        ends = await asyncio.gather(*(_end(http, order_id) for order_id in placed))
    assert set(ends) == {OrderState.FULFILLED}
    temporal = await connect(CommonSettings(temporal_address=versioned.temporal_address))
    builds = [await _build(temporal, order_id) for order_id in placed]
    assert len(set(builds)) == 2
    assert builds == sorted(builds, key=builds.index)
