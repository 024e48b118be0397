"""Today's workflows go on where yesterday's workers left the orders."""

import json
import socket
from collections.abc import Sequence
from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.plugin import SimplePlugin
from temporalio.worker import Replayer
from temporalio.workflow import NondeterminismError

from orderfleet.observability.otel import provider
from orderfleet.temporal.converter import make_data_converter
from orderfleet.temporal.plugin import OrderfleetPlugin
from orderfleet_order_worker.forgetting.workflow import ForgetWorkflow
from orderfleet_order_worker.reconciliation.workflow import ReconcileOrders, SettleOrders
from orderfleet_order_worker.refund_workflow import RefundWorkflow
from orderfleet_order_worker.workflow import OrderWorkflow
from orderfleet_shipping_worker.workflow import ShippingWorkflow
from tests.replay.mutants import Queued, Reordered, Unchanged, Unreviewed, Unwatched
from tests.replay.record import CHILDREN, HISTORIES, PATHS
from tests.support.spans import exported

STORED = sorted(HISTORIES.glob("*.json"))


def history(path: Path) -> WorkflowHistory:
    """Read a history, one of ours or as `orderfleet history --json` has it."""
    stored = json.loads(path.read_text())
    began = stored["events"][0]["workflowExecutionStartedEventAttributes"]
    return WorkflowHistory.from_json(stored.pop("workflow_id", began.get("workflowId")), stored)


async def replay(
    path: Path, order_workflow: type = OrderWorkflow, telemetry: Sequence[SimplePlugin] = ()
) -> None:
    await replay_history(history(path), order_workflow, telemetry)


async def replay_history(
    stored: WorkflowHistory,
    order_workflow: type = OrderWorkflow,
    telemetry: Sequence[SimplePlugin] = (),
) -> None:
    others = [ReconcileOrders, SettleOrders, ForgetWorkflow]
    workflows = [order_workflow, RefundWorkflow, ShippingWorkflow, *others]
    replayer = Replayer(workflows=workflows, plugins=[OrderfleetPlugin(telemetry=telemetry)])
    await replayer.replay_workflow(stored)


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.stem)
async def test_a_recorded_history_replays(path: Path) -> None:
    await replay(path)


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.stem)
async def test_it_replays_with_traces_on_and_makes_no_span(path: Path) -> None:
    exporter = exported()
    exporter.clear()
    await replay(path, telemetry=provider.plugins())
    assert exporter.get_finished_spans() == ()


def test_every_path_is_recorded() -> None:
    names = [path.__name__ for path in PATHS]
    children = [
        f"{name}.{child.replace('/', '-')}" for name in CHILDREN for child in CHILDREN[name]
    ]
    assert {path.stem for path in STORED} == {*names, *children}


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.stem)
def test_a_recording_names_no_machine(path: Path) -> None:
    text = path.read_text()
    assert socket.gethostname() not in text
    assert str(Path(__file__).parents[2]) not in text
    assert '"stackTrace": "' not in text.replace('"stackTrace": ""', "")
    # Workers name themselves pid@host.
    assert "@" not in text


@pytest.mark.parametrize("path", sorted(HISTORIES.glob("summarized*")), ids=lambda path: path.stem)
@pytest.mark.parametrize("text", ["", "of another release"])
async def test_the_texts_for_temporals_ui_are_no_part_of_a_replay(path: Path, text: str) -> None:
    stored = history(path)
    told = [event for event in stored.events if event.HasField("user_metadata")]
    assert told
    for event in told:
        event.ClearField("user_metadata")
        if text:
            [payload] = make_data_converter().payload_converter.to_payloads([text])
            event.user_metadata.summary.CopyFrom(payload)
    await replay_history(stored)


async def test_an_unchanged_copy_replays() -> None:
    await replay(HISTORIES / "fulfilled.json", Unchanged)


@pytest.mark.parametrize("mutant", [Reordered, Unreviewed, Queued])
async def test_a_changed_order_of_steps_is_found_out(mutant: type) -> None:
    with pytest.raises(NondeterminismError):
        await replay(HISTORIES / "fulfilled.json", mutant)


async def test_an_order_that_nobody_watches_while_it_ships_is_found_out() -> None:
    watched = HISTORIES / "approved_and_watched.json"
    await replay(watched, Unchanged)
    with pytest.raises(NondeterminismError):
        await replay(watched, Unwatched)
