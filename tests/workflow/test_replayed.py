"""Local steps that are slow, fail and hang while changes come: whatever happened replays.

On Temporal's development server: the test server's timers come too exactly to meet the beats.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable

from temporalio.client import (
    WorkflowExecutionStatus,
    WorkflowHistory,
    WorkflowQueryFailedError,
    WorkflowUpdateFailedError,
)
from temporalio.service import RPCError
from temporalio.worker import Replayer

from orderfleet.domain import policies
from orderfleet.domain.contract import CANCEL_UPDATE, Cancel, shipping_id
from orderfleet.temporal.plugin import OrderfleetPlugin
from orderfleet_order_worker.refund_workflow import RefundWorkflow
from orderfleet_order_worker.workflow import OrderWorkflow
from orderfleet_shipping_worker.workflow import ShippingWorkflow
from tests.workflow.actions import Action, during, fail, go, hang
from tests.workflow.case import Case, closed
from tests.workflow.fleet import Fleet, real_fleet

_ORDERS = 40
_LOCAL = ("receive", "validate", "prepare")
# The workflow task beats after 80 % of its time.
_BEAT = 0.8 * policies.TASK_TIMEOUT.total_seconds()


async def test_what_happened_replays() -> None:
    chance = random.Random(14)
    async with real_fleet() as fleet:
        running = []
        for _ in range(_ORDERS):
            running.append(asyncio.create_task(_order(fleet, random.Random(chance.random()))))
            await asyncio.sleep(0.1)
        histories = [one for found in await asyncio.gather(*running) for one in found]
    assert len(histories) > _ORDERS
    workflows = [OrderWorkflow, RefundWorkflow, ShippingWorkflow]
    replayer = Replayer(workflows=workflows, plugins=[OrderfleetPlugin()])
    for history in histories:
        await replayer.replay_workflow(history)


async def _order(fleet: Fleet, chance: random.Random) -> list[WorkflowHistory]:
    # Of 5 s 4 are for forward work: an attempt given up at 3 s leaves too little for another.
    case = fleet.order(deadline=chance.choice([5.0, 15.0]), review=chance.choice([0.0, 2.0]))
    for step in _LOCAL:
        case.script(step, *[_fate(chance) for _ in range(3)])
    await case.start()
    ways = chance.choices(_WAYS, k=chance.randint(0, 3))
    await asyncio.gather(*(_send(way, case, chance.uniform(0, 4)) for way in ways))
    await closed(case.handle)
    return [
        await fleet.client.get_workflow_handle(one).fetch_history()
        for one in (case.id, *[shipping_id(case.id, attempt) for attempt in (1, 2, 3)])
        if await _known(fleet, one)
    ]


def _fate(chance: random.Random) -> Action:
    if chance.random() < 0.5:
        return go
    slow = chance.choice([chance.uniform(0, 2), chance.gauss(_BEAT, 0.02)])
    return chance.choice([during(lambda: asyncio.sleep(slow)), hang, fail("boom")])


async def _send(way: Callable[[Case], Awaitable[object]], case: Case, after: float) -> None:
    await asyncio.sleep(after)
    try:
        await way(case)
    except (RPCError, WorkflowQueryFailedError, WorkflowUpdateFailedError):
        # It came too late.
        return


async def _known(fleet: Fleet, workflow_id: str) -> bool:
    try:
        described = await fleet.client.get_workflow_handle(workflow_id).describe()
    except RPCError:
        return False
    return described.status is not WorkflowExecutionStatus.RUNNING


_WAYS: list[Callable[[Case], Awaitable[object]]] = [
    lambda case: case.send_address("2 Other Street"),
    lambda case: case.send_cancel(),
    lambda case: case.handle.cancel(),
    lambda case: case.status(),
    lambda case: case.update(CANCEL_UPDATE, Cancel()),
]
