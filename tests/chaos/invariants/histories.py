"""Temporal's histories, beside the rows."""

from collections.abc import Iterator

from orderfleet.domain.contract import ORDER_WORKFLOW, StepName
from orderfleet.domain.events import EventType
from orderfleet.domain.orders import OrderState
from tests.chaos.recording import Case


def rows_match_histories(case: Case) -> Iterator[str]:
    """Judge that Temporal and Postgres tell the same of an order."""
    orders = [run for run in case.runs if run.type == ORDER_WORKFLOW]
    if case.row is not None and len(orders) != 1:
        yield f"{len(orders)} runs of its workflow"
    for run in orders:
        if run.status == "failed":
            yield f"its workflow failed: {run.result}"
        if run.status == "completed" and run.recorded:
            state = (run.result or {}).get("state")
            if state != case.state:
                yield f"{state} by its workflow, {case.state or 'without a row'} in Postgres"
        charged = StepName.CHARGE in run.scheduled
        if EventType.CHARGED in case.types and not charged:
            yield "charged by its log, and its workflow never charges"
        if case.state == OrderState.FULFILLED and not _dispatched(case):
            yield "fulfilled, and no shipping workflow has dispatched"


def _dispatched(case: Case) -> bool:
    return any(StepName.DISPATCH in run.scheduled for run in case.runs)


def histories_replay(case: Case) -> Iterator[str]:
    """Judge that the workflows that wrote the histories replay them."""
    for failure in case.replay_failures:
        yield f"{failure.workflow_id} does not replay: {failure.error}"
