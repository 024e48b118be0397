"""Builds of the order worker, each worker as a pod of its own: another client, another identity."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from temporalio import workflow
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client
from temporalio.common import VersioningBehavior
from temporalio.worker import Worker

from orderfleet.domain import contract
from orderfleet.domain.contract import OrderResult
from orderfleet.domain.orders import OrderState
from orderfleet.temporal.plugin import OrderfleetPlugin
from orderfleet.temporal.queue_workers import list_queue_workers
from orderfleet.versions.deployments import Version, describe_deployment
from orderfleet.versions.serving import Serving
from orderfleet_api import order_service
from orderfleet_order_worker import main as order_main
from orderfleet_order_worker.workflow import OrderWorkflow
from tests.integration.support.fleet import Fleet, an_order, eventually, new_id

REVIEW = 2.0


@workflow.defn(name=contract.ORDER_WORKFLOW, versioning_behavior=VersioningBehavior.PINNED)
class NextOrderWorkflow(OrderWorkflow):
    """A timer before each order and one before its charge: other commands than today's."""

    @workflow.init
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)

    @workflow.run
    async def run(self, *arguments: Any) -> OrderResult:
        await workflow.sleep(0.01)
        return await super().run(*arguments)

    async def _charge(self) -> None:
        await workflow.sleep(0.01)
        await super()._charge()


TODAY = order_main.WORKFLOWS
NEXT = (NextOrderWorkflow, *order_main.WORKFLOWS[1:])


@dataclass
class Pod:
    """A worker process: it polls until `stop`, or the end of its `pod` block."""

    serving: Serving
    worker: Worker
    keeping: asyncio.Task[None]
    stopped: asyncio.Event = field(default_factory=asyncio.Event)

    async def stop(self, seconds: float = 30) -> None:
        """Stop as the process does on SIGTERM."""
        self.keeping.cancel()
        await self.serving.wait_for_orders(seconds)
        await self.worker.shutdown()
        self.stopped.set()


@asynccontextmanager
async def pod(
    fleet: Fleet,
    build: str,
    *,
    promotion: str = "self",
    deployment: str = "",
    workflows: Sequence[type] = TODAY,
    **more: Any,
) -> AsyncIterator[Pod]:
    """Run an order worker of a build; an empty build is without versioning."""
    queue = fleet.order_settings().order_task_queue
    client = await Client.connect(
        fleet.address, plugins=[OrderfleetPlugin()], identity=f"{build}-{uuid4().hex[:4]}"
    )
    version = Version(deployment or queue, build) if build else None
    worker = fleet.order_worker(
        client=client, version=version, workflows=workflows, sandbox=False, **more
    )
    serving = Serving(client, queue, version, promotion)
    running = asyncio.create_task(worker.run())
    keeping = asyncio.create_task(serving.keep())
    made = Pod(serving, worker, keeping)
    try:
        yield made
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        if not running.done():
            await worker.shutdown()
        await running


async def ready(*pods: Pod) -> None:
    """Wait until the pods are ready."""

    async def all_ready() -> bool:
        return all(pod.serving.ready for pod in pods)

    await eventually(all_ready)


async def listed(fleet: Fleet, build: str, count: int) -> None:
    """Wait until Temporal knows so many workers of the build: a second after their start."""
    queue = fleet.order_settings().order_task_queue

    async def there() -> bool:
        return len((await list_queue_workers(fleet.temporal, queue)).of(build)) == count

    await eventually(there)


async def current(fleet: Fleet) -> str | None:
    """Return the build that takes new orders; None is workers without versioning."""
    queue = fleet.order_settings().order_task_queue
    return (await describe_deployment(fleet.temporal, queue)).current


async def becomes_current(fleet: Fleet, build: str | None) -> None:
    """Wait until a build takes the new orders."""

    async def there() -> bool:
        return await current(fleet) == build

    await eventually(there)


async def place(fleet: Fleet, *, review: float = REVIEW) -> str:
    """Place an order."""
    order_id = new_id()
    backends = fleet.backends(review_seconds=review)
    await order_service.accept(backends, order_id, an_order(f"pay-{order_id}"))
    return order_id


async def place_begun(fleet: Fleet, *, review: float = REVIEW) -> str:
    """Place an order and wait until its worker has begun it, and so its build is decided."""
    order_id = await place(fleet, review=review)
    await fleet.reached(order_id, OrderState.IN_REVIEW)
    return order_id


async def ended_cleanly(fleet: Fleet, order_id: str) -> str:
    """Wait for the order's fulfilment without a failed workflow task; return its build."""
    assert (await fleet.result(order_id)).state is OrderState.FULFILLED
    handle = fleet.workflow(order_id)
    types = [event.event_type for event in (await handle.fetch_history()).events]
    assert EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED not in types
    info = (await handle.describe()).raw_description.workflow_execution_info
    return info.versioning_info.deployment_version.build_id
