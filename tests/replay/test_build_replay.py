"""What the gate replays: histories of open workflows too, wherever they stand."""

import time
from typing import Any

import pytest
from temporalio import workflow
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowHistory

from orderfleet.domain.contract import ORDER_WORKFLOW
from orderfleet.temporal.converter import make_data_converter
from orderfleet.versions.replay import executed_part, replay_histories
from orderfleet_order_worker.main import WORKFLOWS as ORDER_WORKFLOWS
from orderfleet_shipping_worker.main import WORKFLOWS as SHIPPING_WORKFLOWS
from tests.replay.mutants import Reordered
from tests.replay.record import HISTORIES
from tests.replay.test_replay import STORED, history

WORKFLOWS = [*ORDER_WORKFLOWS, *SHIPPING_WORKFLOWS]
CONVERTER = make_data_converter()
_STARTED = EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED


# Out of the sandbox, which cannot import what this module imports.
@workflow.defn(name=ORDER_WORKFLOW, sandboxed=False)
class Blocking:
    """Blocks its thread."""

    @workflow.run
    async def run(self, *_: Any) -> None:
        time.sleep(4)  # noqa: ASYNC251 (this is the fault)


def cut(whole: WorkflowHistory) -> list[WorkflowHistory]:
    """Return a history as it was after each of its events."""
    cuts = [
        executed_part(WorkflowHistory(whole.workflow_id, whole.events[:length]))
        for length in range(3, len(whole.events) + 1)
    ]
    # Many cuts are the same.
    return list({len(part.events): part for part in cuts if part is not None}.values())


async def test_a_stored_history_replays_wherever_it_stands() -> None:
    parts = [part for path in STORED for part in cut(history(path))]
    assert len(parts) > 3 * len(STORED)
    replayed = await replay_histories(parts, WORKFLOWS, CONVERTER, seconds=100)
    assert replayed.failures == []
    assert replayed.done == replayed.wanted == len(parts)


async def test_other_commands_are_found_in_an_open_workflow() -> None:
    whole = history(HISTORIES / "fulfilled.json")
    # In the review, before which this mutant charges.
    number = [event.event_type for event in whole.events].index(EventType.EVENT_TYPE_TIMER_STARTED)
    part = executed_part(WorkflowHistory(whole.workflow_id, whole.events[: number + 1]))
    assert part is not None
    assert part.events[-1].event_type == _STARTED
    replayed = await replay_histories([part], [Reordered], CONVERTER, seconds=30)
    assert replayed.done == 1
    [failure] = replayed.of([ORDER_WORKFLOW])
    assert failure.workflow_id == whole.workflow_id
    assert "ondeterminism" in failure.message
    assert replayed.of(["RefundWorkflow"]) == []


def test_a_workflow_without_a_completed_task_has_nothing_to_replay() -> None:
    whole = history(HISTORIES / "fulfilled.json")
    assert executed_part(WorkflowHistory(whole.workflow_id, whole.events[:3])) is None


@pytest.mark.filterwarnings("ignore")
async def test_a_build_that_blocks_does_not_block_the_gate() -> None:
    began = time.monotonic()
    whole = history(HISTORIES / "fulfilled.json")
    replayed = await replay_histories([whole], [Blocking], CONVERTER, seconds=0.5)
    assert time.monotonic() - began < 3
    assert (replayed.wanted, replayed.done) == (1, 0)
