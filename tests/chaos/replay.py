"""`python -m tests.chaos.replay FOLDER FILE`: replay histories, write which do not.

As JSON, and not to the standard output, where the SDK's core writes its warnings.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import msgspec
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner

from orderfleet.temporal.plugin import OrderfleetPlugin
from orderfleet_order_worker.main import WORKFLOWS as ORDER_WORKFLOWS
from orderfleet_shipping_worker.main import WORKFLOWS as SHIPPING_WORKFLOWS
from tests.chaos.recording import ReplayFailure


async def replay_all(paths: Sequence[Path]) -> list[ReplayFailure]:
    """Replay histories, without the sandbox, which the workers have had."""
    replayer = Replayer(
        workflows=[*ORDER_WORKFLOWS, *SHIPPING_WORKFLOWS],
        plugins=[OrderfleetPlugin()],
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
    Path(sys.argv[2]).write_bytes(msgspec.json.encode(failures))
