"""A worker of the floor: `python -m tests.bench.floor.worker orders|shipping`.

Slots and pollers as the fleet's workers have them, and nothing else.
"""

import asyncio
import os
import signal
import sys
from datetime import timedelta

from temporalio.client import Client
from temporalio.worker import PollerBehaviorAutoscaling, UnsandboxedWorkflowRunner, Worker

from tests.bench.floor import workflow


async def run(kind: str, address: str) -> None:
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    orders = kind == "orders"
    async with Worker(
        await Client.connect(address),
        task_queue=workflow.ORDERS if orders else workflow.SHIPPING,
        workflows=workflow.ORDER_WORKFLOWS if orders else workflow.SHIPPING_WORKFLOWS,
        activities=workflow.ORDER_ACTIVITIES if orders else workflow.SHIPPING_ACTIVITIES,
        workflow_runner=UnsandboxedWorkflowRunner(),
        max_cached_workflows=2000,
        max_concurrent_workflow_tasks=100,
        max_concurrent_activities=100,
        workflow_task_poller_behavior=PollerBehaviorAutoscaling(),
        activity_task_poller_behavior=PollerBehaviorAutoscaling(),
        # STICKY_TIMEOUT of orderfleet.runtime.worker, which would bring metrics and logs along.
        sticky_queue_schedule_to_start_timeout=timedelta(seconds=1),
    ):
        await stopping.wait()


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], os.environ["TEMPORAL_ADDRESS"]))
