"""`python -m tests.chaos.replay FOLDER`: replay histories, print as JSON those that do not."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import msgspec
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner

from orderfleet.temporal.converter import make_data_converter
from orderfleet_order_worker.forgetting.workflow import ForgetWorkflow
from orderfleet_order_worker.reconciliation.workflow import ReconcileOrders, SettleOrders
from orderfleet_order_worker.refund_workflow import RefundWorkflow
from orderfleet_order_worker.workflow import OrderWorkflow
from orderfleet_shipping_worker.workflow import ShippingWorkflow
from tests.chaos.recording import ReplayFailure


async def replay_all(paths: Sequence[Path]) -> list[ReplayFailure]:
    """Replay histories, without the sandbox, which the workers have had."""
    replayer = Replayer(
        workflows=[
            OrderWorkflow,
            ShippingWorkflow,
            RefundWorkflow,
            ReconcileOrders,
            SettleOrders,
            ForgetWorkflow,
        ],
        data_converter=make_data_converter(),
        workflow_runner=UnsandboxedWorkflowRunner(),
    )
    async with replayer.workflow_replay_iterator(_histories(paths)) as results:
        return [
            ReplayFailure(
                workflow_id=result.history.workflow_id, error=str(result.replay_failure)[:500]
            )
            async for result in results
            if result.replay_failure is not None
        ]


async def _histories(paths: Sequence[Path]) -> AsyncIterator[WorkflowHistory]:
    for path in paths:
        stored = json.loads(path.read_text())
        yield WorkflowHistory.from_json(stored.pop("workflow_id"), stored)


if __name__ == "__main__":
    failures = asyncio.run(replay_all(sorted(Path(sys.argv[1]).glob("*.json"))))
    sys.stdout.buffer.write(msgspec.json.encode(failures))
