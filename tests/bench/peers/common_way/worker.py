"""The workers of both queues, in one process."""

import asyncio
import os
import signal
from collections.abc import Callable
from functools import partial
from typing import Any

from temporalio.client import Client
from temporalio.worker import PollerBehaviorAutoscaling, Worker

from tests.bench.peers.common_way.activities import Activities
from tests.bench.peers.common_way.messages import ORDERS_QUEUE, SHIPPING_QUEUE
from tests.bench.peers.common_way.models import open_engine
from tests.bench.peers.common_way.workflows import OrderWorkflow, ShippingWorkflow


async def main() -> None:
    """Work until SIGTERM."""
    # Connections, slots and cached workflows as the fleet's two workers have them together.
    engine, sessions = open_engine(os.environ["DATABASE_URL"], 20)
    worker = partial(
        Worker,
        await Client.connect(os.environ["TEMPORAL_ADDRESS"]),
        max_concurrent_workflow_tasks=100,
        max_concurrent_activities=100,
        max_cached_workflows=2000,
        workflow_task_poller_behavior=PollerBehaviorAutoscaling(),
        activity_task_poller_behavior=PollerBehaviorAutoscaling(),
    )
    do = Activities(sessions)
    orders: list[Callable[..., Any]] = [do.receive, do.validate, do.charge, do.cancel]
    shipping: list[Callable[..., Any]] = [do.prepare, do.dispatch]
    async with (
        worker(task_queue=ORDERS_QUEUE, workflows=[OrderWorkflow], activities=orders),
        worker(task_queue=SHIPPING_QUEUE, workflows=[ShippingWorkflow], activities=shipping),
    ):
        stopping = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
        await stopping.wait()
    await engine.dispose()


if __name__ == "__main__":
    asyncio.run(main())
