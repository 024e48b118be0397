"""Start ForgetWorkflow for the orders that are old enough."""

from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError

from orderfleet.domain import priorities, summaries
from orderfleet.domain.contract import FORGET_WORKFLOW, ForgetInput, forget_id
from orderfleet.domain.policies import TASK_TIMEOUT


async def start_forgetting(client: Client, order_id: str, task_queue: str) -> None:
    """Start the workflow that forgets an order, unless it runs.

    Raises:
        RPCError: Temporal is unavailable.
    """
    try:
        await client.start_workflow(
            FORGET_WORKFLOW,
            ForgetInput(order_id),
            id=forget_id(order_id),
            task_queue=task_queue,
            task_timeout=TASK_TIMEOUT,
            # If it has closed, it failed: the order is still to be forgotten.
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
            static_summary=summaries.FORGETS,
            priority=priorities.FORGET,
        )
    except WorkflowAlreadyStartedError:
        return
