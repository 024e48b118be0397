"""Forget orders by their workflow."""

from typing import Any

from temporalio.client import WorkflowHandle

from orderfleet.domain.contract import FORGET_WORKFLOW, ForgetInput, ForgetResult, forget_id
from tests.integration.support.fleet import Fleet


async def start_forgetting(fleet: Fleet, order_id: str) -> WorkflowHandle[Any, ForgetResult]:
    return await fleet.temporal.start_workflow(
        FORGET_WORKFLOW,
        ForgetInput(order_id),
        id=forget_id(order_id),
        task_queue=fleet.common()["order_task_queue"],
        result_type=ForgetResult,
    )


async def forget(fleet: Fleet, order_id: str) -> ForgetResult:
    return await (await start_forgetting(fleet, order_id)).result()
