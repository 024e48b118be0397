"""Refunds that cannot begin, because their build is gone.

RefundWorkflow upgrades from task to task, but the first task of a child on its parent's queue is
pinned to the parent's build. If that build has no worker any more, or no healthy one, the refund
would wait forever: it has no deadline.
"""

from datetime import UTC, datetime, timedelta

import structlog
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from orderfleet.domain.contract import REFUND_WORKFLOW
from orderfleet.temporal.visibility import of_queue
from orderfleet.versions.override import unpin
from orderfleet_order_worker.reconciliation.evidence import workflow_ids

log = structlog.stdlib.get_logger(__name__)


async def stuck_refunds(client: Client, task_queue: str, *, older_than: timedelta) -> list[str]:
    """Return the ids of the running refunds of a fleet whose first task is not done yet.

    Raises:
        RPCError: Temporal does not answer.
    """
    query = (
        f"{of_queue(REFUND_WORKFLOW, task_queue)} AND ExecutionStatus = 'Running'"
        " AND TemporalWorkflowVersioningBehavior = 'Pinned'"
        f" AND StartTime < '{(datetime.now(UTC) - older_than).isoformat()}'"
    )
    try:
        return [id_ async for page in workflow_ids(client, query) for id_ in page]
    except RPCError as error:
        # A server without worker versions has no such attribute.
        if error.status is RPCStatusCode.INVALID_ARGUMENT:
            return []
        raise


async def free_refund(client: Client, workflow_id: str) -> None:
    """Let a refund begin on the current build.

    Raises:
        RPCError: Temporal does not answer, or the refund has closed (NOT_FOUND).
    """
    await unpin(client, workflow_id)
    log.warning("refund moved to the current build", workflow_id=workflow_id)
