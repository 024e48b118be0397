"""What must go wrong before some counters are there: each of it happens here for real."""

import asyncio
import signal
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.client import Client, WorkflowHandle
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from orderfleet.domain.contract import ORDER_TASK_QUEUE, ORDER_WORKFLOW
from tests.e2e.support.orders import Orders, new_id


@workflow.defn(name=ORDER_WORKFLOW)
class AnotherRelease:
    """An order as no release of ours begins one."""

    @workflow.run
    async def run(self, _: Any) -> None:
        await workflow.sleep(1)
        await workflow.wait_condition(lambda: False)


async def failing_workflow_task(temporal_address: str) -> None:
    """Start a workflow that no worker knows."""
    handle = await unknown_workflow(await Client.connect(temporal_address))
    await asyncio.sleep(1)
    await handle.terminate()


async def unknown_workflow(client: Client) -> WorkflowHandle[Any, Any]:
    """Start a workflow that no worker knows, and that stays."""
    return await client.start_workflow(
        "NoSuchWorkflow",
        id=new_id("unknown"),
        task_queue=ORDER_TASK_QUEUE,
        task_timeout=timedelta(seconds=2),
    )


async def history_that_does_not_fit(orders: Orders) -> None:
    """Let another release begin an order, which ours then goes on with."""
    handle = await order_of_another_release(orders)
    await asyncio.sleep(2)
    await handle.terminate()


async def order_of_another_release(orders: Orders) -> WorkflowHandle[Any, Any]:
    """Let another release begin an order, which stays, and our worker find it."""
    client = await Client.connect(orders.fleet.temporal_address)
    await orders.fleet.stop("order-worker")
    async with Worker(
        client,
        task_queue=ORDER_TASK_QUEUE,
        workflows=[AnotherRelease],
        workflow_runner=UnsandboxedWorkflowRunner(),
    ):
        handle = await client.start_workflow(
            ORDER_WORKFLOW,
            {"payment_id": new_id("pay"), "address": {"street": "1 Main St", "city": "X"}},
            id=new_id("odd"),
            task_queue=ORDER_TASK_QUEUE,
            task_timeout=timedelta(seconds=2),
        )
        async for event in handle.fetch_history_events(wait_new_event=True):
            if event.HasField("timer_started_event_attributes"):
                break
    await orders.fleet.start("order-worker")
    return handle


async def postgres_away(orders: Orders) -> None:
    """Ask for an order while there is no Postgres, so that the API answers 503."""
    await orders.fleet.stop("postgres", signal.SIGINT)
    answer = await orders.start(new_id("refused"))
    assert answer.status_code == 503, answer.text
    await orders.fleet.start("postgres")


async def unknown_order(orders: Orders) -> None:
    """Ask Temporal for an order that it does not know."""
    assert (await orders.http.get(f"/orders/{new_id('nobody')}/status")).status_code == 404
