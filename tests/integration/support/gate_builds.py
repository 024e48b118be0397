"""Builds of a worker, each a worker of its own in this process, with workflows of the tests."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import count
from typing import Any, Final

from temporalio import workflow
from temporalio.client import Client
from temporalio.common import VersioningBehavior

with workflow.unsafe.imports_passed_through():
    from orderfleet.domain.contract import ORDER_STATE, ORDER_WORKFLOW, REFUND_WORKFLOW
    from orderfleet.domain.orders import OrderState
    from orderfleet.versions.deployments import Version
    from tests.integration.support.versions import build, current

_TASK_TIMEOUT: Final = timedelta(seconds=2)


@workflow.defn(name=ORDER_WORKFLOW, versioning_behavior=VersioningBehavior.PINNED)
class GoodOrder:
    """Fulfilled after 0.3 s."""

    @workflow.run
    async def run(self, *_: Any) -> None:
        await workflow.sleep(0.3)
        workflow.upsert_search_attributes([ORDER_STATE.value_set(OrderState.FULFILLED)])


@workflow.defn(name=ORDER_WORKFLOW, versioning_behavior=VersioningBehavior.PINNED)
class SlowOrder(GoodOrder):
    """The same, half a second later."""

    @workflow.run
    async def run(self, *_: Any) -> None:
        await workflow.sleep(0.5)
        await super().run()


@workflow.defn(name=ORDER_WORKFLOW, versioning_behavior=VersioningBehavior.PINNED)
class OtherOrder:
    """The same with other commands: it does not replay the history of `GoodOrder`."""

    @workflow.run
    async def run(self, *_: Any) -> None:
        workflow.upsert_search_attributes([ORDER_STATE.value_set(OrderState.FULFILLED)])
        await workflow.sleep(0.3)


@workflow.defn(name=ORDER_WORKFLOW, versioning_behavior=VersioningBehavior.PINNED)
class BrokenOrder:
    """Fails its first workflow task, for ever."""

    @workflow.run
    async def run(self, *_: Any) -> None:
        raise RuntimeError("no such step")


@workflow.defn(name=ORDER_WORKFLOW, versioning_behavior=VersioningBehavior.PINNED)
class FailedOrder:
    """Ends at once, as failed."""

    @workflow.run
    async def run(self, *_: Any) -> None:
        workflow.upsert_search_attributes([ORDER_STATE.value_set(OrderState.FAILED)])


@workflow.defn(name=REFUND_WORKFLOW, versioning_behavior=VersioningBehavior.AUTO_UPGRADE)
class Refund:
    """Waits for an hour."""

    @workflow.run
    async def run(self, *_: Any) -> None:
        await workflow.sleep(3600)


@workflow.defn(name=REFUND_WORKFLOW, versioning_behavior=VersioningBehavior.AUTO_UPGRADE)
class OtherRefund:
    """The same with other commands."""

    @workflow.run
    async def run(self, *_: Any) -> None:
        await workflow.execute_activity("undo", schedule_to_close_timeout=timedelta(seconds=1))


@asynccontextmanager
async def two_builds(client: Client, queue: str, *workflows: type) -> AsyncIterator[Version]:
    """Run the current build `one`, of good orders, and another, `two`, which is yielded."""
    async with (
        build(client, queue, "one", GoodOrder, Refund) as one,
        build(client, queue, "two", *workflows) as two,
    ):
        await current(client, one)
        yield two


@asynccontextmanager
async def order_flow(client: Client, queue: str, *, pause: float = 0.1) -> AsyncIterator[list[str]]:
    """Place orders until the block ends; yield the ids of those that were started."""
    ids: list[str] = []

    async def place() -> None:
        for number in count():
            order_id = f"{queue}-{number}"
            await client.start_workflow(
                ORDER_WORKFLOW, id=order_id, task_queue=queue, task_timeout=_TASK_TIMEOUT
            )
            # Only now: the block's end may cut the start off.
            ids.append(order_id)
            await asyncio.sleep(pause)

    placing = asyncio.create_task(place())
    try:
        yield ids
    finally:
        placing.cancel()
        await asyncio.gather(placing, return_exceptions=True)


async def results(client: Client, ids: Sequence[str]) -> None:
    """Wait until all workflows have completed."""
    async with asyncio.timeout(30):
        await asyncio.gather(*(client.get_workflow_handle(id_).result() for id_ in ids))
