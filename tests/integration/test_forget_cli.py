"""The command `forget`."""

import asyncio
from pathlib import Path

import pytest

from orderfleet.domain.contract import forget_id
from orderfleet.domain.orders import OrderState
from orderfleet_api import order_service
from tests.integration.support.fleet import Fleet, an_order, eventually, new_id
from tests.support.cli import NOWHERE, Cli


@pytest.fixture
def cli(fleet: Fleet, tmp_path: Path) -> Cli:
    names = {"TEMPORAL_ADDRESS": "temporal_address", "ORDER_TASK_QUEUE": "order_task_queue"}
    common = fleet.common() | {"temporal_address": fleet.address}
    return Cli(tmp_path, {**NOWHERE, **{name: common[key] for name, key in names.items()}})


async def test_forget_and_wait(cli: Cli, fleet: Fleet) -> None:
    order_id, other = new_id(), new_id()
    async with fleet.working():
        for placed in (order_id, other):
            order = an_order(f"pay-{placed}")
            await order_service.accept(fleet.backends(), placed, order)
        await asyncio.gather(fleet.result(order_id), fleet.result(other))
        first, started = await cli.all(f"forget {order_id}", f"forget {other} --no-wait")
        again, as_json = await cli.all(f"forget {order_id}", f"forget {order_id} --json")

        async def forgotten() -> bool:
            return (await fleet.event_types(other))[-1] == "forgotten"

        await eventually(forgotten)
        await fleet.temporal.get_workflow_handle(forget_id(other)).result()
    assert first.status == 0, first
    assert first.out.splitlines()[-1] == f"{order_id}: forgotten"
    assert set(first.out.splitlines()[:-1]) <= {
        f"{order_id}: redacting its rows in Postgres",
        f"{order_id}: deleting its histories in Temporal",
    }
    assert started.out.splitlines() == [f"{other}: {forget_id(other)} is started"]
    assert again.out.splitlines()[-1] == f"{order_id}: was forgotten before"
    assert as_json.json == {"order_id": order_id, "first": False, "histories": 0}


async def test_what_cannot_be_forgotten_is_one_line(cli: Cli, fleet: Fleet) -> None:
    order_id, unknown = new_id(), new_id()
    async with fleet.order_worker():
        await order_service.accept(fleet.backends(), order_id, an_order(f"pay-{order_id}"))
        await fleet.reached(order_id, OrderState.CHARGED)
        await fleet.workflow(order_id).terminate("a person did it")
        outcomes = await cli.all(f"forget {order_id}", f"forget {unknown}", "forget a/b")
    assert [outcome.status for outcome in outcomes] == [1, 1, 2]
    assert [outcome.error for outcome in outcomes[:2]] == [
        f"{order_id}: the order has not ended",
        f"{unknown}: there is no such order",
    ]
    assert "invalid order id" in outcomes[2].error
    away = await cli("forget", order_id, TEMPORAL_ADDRESS="127.0.0.1:1")
    assert away.status == 3, away
