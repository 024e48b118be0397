"""Record the histories that `tests/replay` replays, on Temporal's development server.

To be run by hand, after a change of a workflow that is meant to break replay (no order may be
open then) or for a new path:

    .venv/bin/python -m tests.replay.record [NAME ...]
"""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from temporalio import activity
from temporalio.client import Client, WorkflowHandle
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

from orderfleet.domain import policies
from orderfleet.domain.contract import (
    CARRIER_REFUSED,
    FORGET_WORKFLOW,
    ORDER_BUSY,
    PAYMENT_DECLINED,
    RECONCILE_WORKFLOW,
    REVIEW_UPDATE,
    ForgetInput,
    ForgetResult,
    Review,
    carrier_key,
    forget_id,
)
from orderfleet.domain.orders import Item
from orderfleet.runtime.worker import make_worker
from orderfleet.settings import WorkerSettings
from orderfleet_cli.signals import run_until_signal
from orderfleet_order_worker.activity_types import ReceiveResult
from orderfleet_order_worker.forgetting.workflow import ForgetWorkflow
from orderfleet_order_worker.reconciliation.activities import Traces
from orderfleet_order_worker.reconciliation.run import ReconciliationSummary
from orderfleet_order_worker.reconciliation.workflow import ReconcileOrders, SettleOrders
from tests.workflow.actions import Work, after, during, fail, hang, reply_lost
from tests.workflow.case import Case, closed
from tests.workflow.fleet import Fleet, real_fleet

HISTORIES: Final = Path(__file__).with_name("histories")
REFUSED: Final = fail("strike", CARRIER_REFUSED, permanent=True)
# What names the machine or its directories, or tells nothing to a replay.
_SCRUBBED: Final = {"identity": "recorded", "stackTrace": "", "buildId": "recorded"}


@dataclass
class Run:
    """A run of the reconciliation or of forgetting, beside a worker that knows nothing else."""

    id: str
    worker: Worker
    handle: WorkflowHandle[Any, Any]

    async def end(self) -> None:
        async with self.worker:
            await self.handle.result()


Journey = Callable[[Fleet, str], Awaitable[Case | Run]]


async def fulfilled(fleet: Fleet, order_id: str) -> Case:
    case = fleet.order(order_id=order_id)
    case.script("charge", fail("boom"))
    await case.start()
    return case


async def approved(fleet: Fleet, order_id: str) -> Case:
    case = fleet.order(order_id=order_id)
    await case.start()
    await case.until_step("review")
    await case.update(REVIEW_UPDATE, Review(approved=True, reviewer="ann"))
    return case


async def rejected(fleet: Fleet, order_id: str) -> Case:
    case = fleet.order(order_id=order_id)
    await case.start()
    await case.until_step("review")
    await case.update(REVIEW_UPDATE, Review(approved=False, reviewer="ann"))
    return case


async def rejected_by_validation(fleet: Fleet, order_id: str) -> Case:
    case = fleet.order(order_id=order_id, items=list[Item]())
    await case.start()
    return case


async def cancelled_in_review(fleet: Fleet, order_id: str) -> Case:
    case = fleet.order(order_id=order_id)
    await case.start()
    await case.until_step("review")
    await case.send_cancel("c-1", "changed my mind")
    return case


async def cancelled_after_charge(fleet: Fleet, order_id: str) -> Case:
    case = fleet.order(order_id=order_id)

    async def cancel() -> None:
        await case.send_cancel("c-1")
        await case.waits_for(lambda: "end" in case.calls)

    case.script("prepare", during(cancel))
    await case.start()
    return case


async def cancelled_by_temporal(fleet: Fleet, order_id: str) -> Case:
    case = fleet.order(order_id=order_id)
    await case.start()
    await case.until_step("review")
    await case.handle.cancel()
    return case


async def address_changed(fleet: Fleet, order_id: str) -> Case:
    case = fleet.order(order_id=order_id)

    async def late() -> None:
        await case.send_address("3 Late Street", "a-2")
        await case.waits_for(lambda: "address_update_refused" in case.events)

    case.script("charge", during(lambda: case.send_address("2 Other Street", "a-1")))
    case.script("carrier", during(late))
    await case.start()
    return case


async def declined(fleet: Fleet, order_id: str) -> Case:
    case = fleet.order(order_id=order_id)
    case.script("gateway", fail("no money", PAYMENT_DECLINED, permanent=True))
    await case.start()
    return case


async def shipping_failed_twice(fleet: Fleet, order_id: str) -> Case:
    case = fleet.order(order_id=order_id)
    case.script("carrier", REFUSED, REFUSED)
    await case.start()
    return case


async def shipping_failed_three_times(fleet: Fleet, order_id: str) -> Case:
    case = fleet.order(order_id=order_id)
    case.script("carrier", REFUSED, REFUSED, REFUSED)
    await case.start()
    return case


async def undone_by_traces(fleet: Fleet, order_id: str) -> Case:
    case = fleet.order(order_id=order_id)
    # What the order's row does not tell, Temporal's histories do.
    case.world.traces[case.id] = Traces(charged=True, keys=[carrier_key(case.id, 1)])
    case.script("carrier", REFUSED, REFUSED, REFUSED)
    await case.start()
    return case


async def timed_out(fleet: Fleet, order_id: str) -> Case:
    case = fleet.order(order_id=order_id, deadline=5)
    # Taken, and told too late: the refund has a package to recall.
    case.script("carrier", after(lambda: asyncio.sleep(6)))
    await case.start()
    return case


async def timed_out_in_shipping(fleet: Fleet, order_id: str) -> Case:
    async def elsewhere(work: Work) -> ReceiveResult:
        await work()
        return ReceiveResult(shipping_task_queue="nobody-polls")

    case = fleet.order(order_id=order_id, deadline=5)
    case.script("receive", elsewhere)
    await case.start()
    return case


async def local_steps_fail(fleet: Fleet, order_id: str) -> Case:
    case = fleet.order(order_id=order_id)
    case.script("receive", fail("boom"))
    # Longer than 80 % of a workflow task, so that it beats.
    case.script("validate", during(lambda: asyncio.sleep(1.8)))
    case.script("prepare", fail("no box"), during(lambda: asyncio.sleep(1.8)))
    await case.start()
    return case


async def local_step_hangs(fleet: Fleet, order_id: str) -> Case:
    # Given up at 3 s, then cut off at 4 s: seen from its last beat there was less time all along.
    case = fleet.order(order_id=order_id, deadline=5)
    case.script("receive", hang, hang)
    await case.start()
    return case


async def unrecorded(fleet: Fleet, order_id: str) -> Case:
    case = fleet.order(order_id=order_id)
    case.script("gateway", reply_lost, reply_lost, reply_lost)
    case.script("end", *[fail("Postgres is away")] * 3)
    await case.start()
    return case


async def approved_and_watched(fleet: Fleet, order_id: str) -> Case:
    """The review is on record before it counts, and shipping has the order's own timer."""
    return await approved(fleet, order_id)


async def failed_with_the_end(fleet: Fleet, order_id: str) -> Case:
    """The event of the attempt that time ends is written by the step that ends the order."""
    return await timed_out_in_shipping(fleet, order_id)


async def summarized(fleet: Fleet, order_id: str) -> Case:
    """Activities, timers and children have summaries for Temporal's UI."""
    return await shipping_failed_twice(fleet, order_id)


async def reconciled(fleet: Fleet, run_id: str) -> Run:
    return await _reconcile(fleet, run_id, RECONCILE_WORKFLOW)


async def settled(fleet: Fleet, run_id: str) -> Run:
    """A run that a release before decision 25 started."""
    return await _reconcile(fleet, run_id, "SettleOrders")


@activity.defn
async def reconcile(_since: datetime | None = None) -> ReconciliationSummary:
    return ReconciliationSummary(ended=1, refunds_started=1, began=datetime.now(UTC))


@activity.defn
async def settle(since: datetime | None = None) -> ReconciliationSummary:
    return await reconcile(since)


async def _reconcile(fleet: Fleet, run_id: str, workflow_type: str) -> Run:
    queue = "reconciliation"
    worker = make_worker(
        fleet.client,
        WorkerSettings(drain_seconds=0),
        task_queue=queue,
        workflows=[ReconcileOrders, SettleOrders],
        activities=[reconcile, settle],
    )
    handle = await fleet.client.start_workflow(
        workflow_type,
        id=run_id,
        task_queue=queue,
        execution_timeout=policies.RECONCILE_RUN,
        task_timeout=policies.TASK_TIMEOUT,
        result_type=ReconciliationSummary,
    )
    return Run(run_id, worker, handle)


@activity.defn
async def forget_rows(order_id: str) -> ForgetResult:
    if activity.info().attempt == 1:
        raise ApplicationError(f"{order_id}/refund is running", type=ORDER_BUSY)
    return ForgetResult(order_id, first=True, histories=2)


@activity.defn
async def forget_histories(_order_id: str) -> None:
    pass


async def forgotten(fleet: Fleet, order_id: str) -> Run:
    queue = "forgetting"
    worker = make_worker(
        fleet.client,
        WorkerSettings(drain_seconds=0),
        task_queue=queue,
        workflows=[ForgetWorkflow],
        activities=[forget_rows, forget_histories],
    )
    handle = await fleet.client.start_workflow(
        FORGET_WORKFLOW,
        ForgetInput(order_id),
        id=forget_id(order_id),
        task_queue=queue,
        task_timeout=policies.TASK_TIMEOUT,
    )
    return Run(forget_id(order_id), worker, handle)


PATHS: Final[list[Journey]] = [
    approved_and_watched,
    fulfilled,
    approved,
    rejected,
    rejected_by_validation,
    cancelled_in_review,
    cancelled_after_charge,
    cancelled_by_temporal,
    address_changed,
    declined,
    shipping_failed_twice,
    shipping_failed_three_times,
    undone_by_traces,
    timed_out,
    timed_out_in_shipping,
    local_steps_fail,
    local_step_hangs,
    unrecorded,
    failed_with_the_end,
    summarized,
    reconciled,
    settled,
    forgotten,
]
# Of these the children are kept too.
CHILDREN: Final = {
    "fulfilled": ["shipping/1"],
    "cancelled_after_charge": ["refund"],
    "shipping_failed_twice": ["shipping/2"],
    "summarized": ["shipping/3"],
    "undone_by_traces": ["refund"],
    "timed_out": ["shipping/1", "refund"],
    "local_steps_fail": ["shipping/1"],
}


async def record(fleet: Fleet, path: Journey, name: str) -> None:
    case = await path(fleet, name.replace("_", "-"))
    await case.end()
    await save(fleet.client, case.id, name)
    for child in CHILDREN.get(name, []):
        await closed(fleet.client.get_workflow_handle(f"{case.id}/{child}"))
        await save(fleet.client, f"{case.id}/{child}", f"{name}.{child.replace('/', '-')}")


async def save(client: Client, workflow_id: str, name: str) -> None:
    history = await client.get_workflow_handle(workflow_id).fetch_history()
    # A line for each event, so that a new recording can be compared with the old one.
    events = ",\n".join(json.dumps(scrubbed(one)) for one in history.to_json_dict()["events"])
    text = f'{{"workflow_id": "{workflow_id}", "events": [\n{events}\n]}}\n'
    (HISTORIES / f"{name}.json").write_text(text)


def scrubbed(found: Any) -> Any:
    """Return a history without what names the machine that it was recorded on."""
    if isinstance(found, list):
        return [scrubbed(one) for one in found]
    if not isinstance(found, dict):
        return found
    if found.get("kind") == "TASK_QUEUE_KIND_STICKY":
        return found | {"name": "sticky"}
    return {name: _SCRUBBED.get(name, scrubbed(value)) for name, value in found.items()}


async def main(names: list[str]) -> None:
    """Record all paths, or those that are named."""
    HISTORIES.mkdir(exist_ok=True)
    async with real_fleet() as fleet:
        wanted = {path.__name__: path for path in PATHS}
        # One after another, so that none is slow enough to take another path.
        for name in names or wanted:
            await record(fleet, wanted[name], name)


if __name__ == "__main__":
    run_until_signal(main(sys.argv[1:]))
    # Threads of the SDK may abort an interpreter that is taken down.
    os._exit(0)
