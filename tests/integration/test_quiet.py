"""A failed step is told of in its own words, and by nobody else."""

import asyncio
import gc
from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from temporalio import activity
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from orderfleet.domain import contract
from orderfleet.domain.contract import ShippingInput, ShippingResult, StepStatus
from orderfleet.observability.worker_metrics import WorkerMetrics
from orderfleet.runtime.worker import interceptors
from orderfleet.temporal.attempts import StepResult
from orderfleet.temporal.unversioned import UnversionedWorkflowRunner
from orderfleet_shipping_worker.workflow import ShippingWorkflow
from tests.integration.support.fleet import Fleet, eventually, new_id


class _Steps:
    """Prepares at once; the dispatch is refused when the test says so."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.fail = asyncio.Event()

    @activity.defn
    async def prepare(self, _: ShippingInput) -> StepResult:
        return StepResult()

    @activity.defn
    async def dispatch(self, _: ShippingInput) -> StepResult:
        self.begun.set()
        await self.fail.wait()
        raise ApplicationError("order is cancelled", type=contract.ORDER_CLOSED, non_retryable=True)


async def test_a_step_that_fails_as_it_is_cancelled(
    fleet: Fleet, caplog: pytest.LogCaptureFixture
) -> None:
    """Both come in one workflow task, as when an order is cancelled before its dispatch."""
    queue, order_id = f"quiet-{fleet.suffix}", new_id()
    steps = _Steps()

    def worker(*workflows: type, activities: list[Callable[..., Any]], remote: bool) -> Worker:
        return Worker(
            fleet.temporal,
            task_queue=queue,
            workflows=workflows,
            activities=activities,
            no_remote_activities=not remote,
            interceptors=interceptors("", WorkerMetrics(CollectorRegistry())),
            workflow_runner=UnversionedWorkflowRunner(SandboxedWorkflowRunner()),
        )

    handle = await fleet.temporal.start_workflow(
        contract.SHIPPING_WORKFLOW,
        ShippingInput(order_id=order_id),
        id=contract.shipping_id(order_id, 1),
        task_queue=queue,
        result_type=ShippingResult,
    )
    async with worker(activities=[steps.dispatch], remote=True):
        async with worker(ShippingWorkflow, activities=[steps.prepare], remote=False):
            await asyncio.wait_for(steps.begun.wait(), 30)
        # Nobody runs workflows now.
        await handle.cancel()
        steps.fail.set()

        async def failed() -> bool:
            return "ACTIVITY_TASK_FAILED" in str(await handle.fetch_history())

        await eventually(failed)
        async with worker(ShippingWorkflow, activities=[steps.prepare], remote=False):
            with pytest.raises(WorkflowFailureError):
                await asyncio.wait_for(handle.result(), 30)
    gc.collect()
    assert [one for one in caplog.messages if "never retrieved" in one] == []


async def test_an_attempt_that_waits_for_the_next_one_tells_what_went_wrong(fleet: Fleet) -> None:
    """Not that its failure is too long, as the server says of one of more than 4 KB."""

    class Steps(_Steps):
        @activity.defn
        async def dispatch(self, _: ShippingInput) -> StepResult:
            raise RuntimeError("the real error" + "é" * 5000) from ValueError("x" * 5000)

    queue, order_id = f"quiet-{fleet.suffix}", new_id()
    steps = Steps()
    handle = await fleet.temporal.start_workflow(
        contract.SHIPPING_WORKFLOW,
        ShippingInput(order_id=order_id),
        id=contract.shipping_id(order_id, 1),
        task_queue=queue,
        result_type=ShippingResult,
    )
    found: list[str] = []

    async def pending() -> bool:
        raw = (await handle.describe()).raw_description
        found.extend(one.last_failure.message for one in raw.pending_activities)
        return any(found)

    async with Worker(
        fleet.temporal,
        task_queue=queue,
        workflows=[ShippingWorkflow],
        activities=[steps.prepare, steps.dispatch],
        interceptors=interceptors("", WorkerMetrics(CollectorRegistry())),
        workflow_runner=UnversionedWorkflowRunner(SandboxedWorkflowRunner()),
    ):
        await eventually(pending)
        with pytest.raises(WorkflowFailureError) as failed:
            await asyncio.wait_for(handle.result(), 30)
        status: dict[str, StepStatus] = await handle.query(
            contract.STATUS_QUERY, result_type=dict[str, StepStatus]
        )
    assert {one[:14] for one in found if one} == {"the real error"}
    assert str(failed.value.cause).startswith("RuntimeError: dispatch: the real error")
    assert [one[:14] for one in status["dispatch"].errors] == ["the real error"] * 3
