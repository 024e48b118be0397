"""The work of SettleOrders: compare Postgres with Temporal and end what was left behind."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import structlog
from msgspec import Struct
from prometheus_client import CollectorRegistry
from temporalio import activity
from temporalio.client import (
    Client,
    WorkflowExecutionStatus,
)
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from orderfleet import messages, policies
from orderfleet.messages import OrderInput, OrderResult, RefundInput
from orderfleet.orders import OrderState
from orderfleet.store import reads
from orderfleet.store.pool import Pool
from orderfleet.store.reads import Unsettled
from orderfleet.store.steps import end_order, receive
from orderfleet_order_worker.metrics import OrderWorkerMetrics
from orderfleet_order_worker.settings import OrderWorkerSettings

log = structlog.stdlib.get_logger(__name__)

# An order's own workflow ends it within its deadline; younger ones are left alone. Short,
# because a workflow can be terminated at any age, and one that runs is left alone in any case.
_GRACE: Final = timedelta(seconds=5)

_END_OF: Final = {
    WorkflowExecutionStatus.TIMED_OUT: OrderState.TIMED_OUT,
    WorkflowExecutionStatus.TERMINATED: OrderState.FAILED,
    WorkflowExecutionStatus.FAILED: OrderState.FAILED,
    WorkflowExecutionStatus.CANCELED: OrderState.FAILED,
}


class SettleSummary(Struct, frozen=True):
    """What one run of SettleOrders did."""

    ended: int = 0
    refunds_started: int = 0


class SettleActivities:
    """The backstop's one activity with what it needs."""

    def __init__(
        self,
        pool: Pool,
        client: Client,
        settings: OrderWorkerSettings,
        metrics: OrderWorkerMetrics | None = None,
    ) -> None:
        self._pool = pool
        self._metrics = metrics or OrderWorkerMetrics(CollectorRegistry())
        self._client = client
        self._order_task_queue = settings.order_task_queue
        self._shipping_task_queue = settings.shipping_task_queue

    def all(self) -> list[Callable[..., Any]]:
        """Return the activities to register."""
        return [self.settle]

    @activity.defn
    async def settle(self) -> SettleSummary:
        """End every order that is open in Postgres and closed in Temporal; undo its payment."""
        await self._adopt_rowless()
        ended = 0
        for order in await reads.open_orders(
            self._pool, older_than=_GRACE, limit=policies.SETTLE_BATCH
        ):
            ended += await self._settle_open(order)
        refunds = 0
        for order in await reads.unsettled_payments(
            self._pool, older_than=_GRACE, limit=policies.SETTLE_BATCH
        ):
            refunds += await self._start_refund(order, order.state, "settled")
        return SettleSummary(ended, refunds)

    async def _settle_open(self, order: Unsettled) -> bool:
        end = await self._end_in_temporal(order.order_id)
        if end is None:
            return False
        state, reason = end
        if order.state not in {OrderState.RECEIVED, OrderState.IN_REVIEW} and (
            state is OrderState.REJECTED
        ):
            state = OrderState.FAILED
        ended = await end_order(self._pool, order.order_id, state, reason, [])
        if ended is None:
            return False
        self._metrics.order_settled(ended)
        log.warning("settled", order_id=order.order_id, state=ended.state, reason=reason)
        if ended.payment is not None or ended.dispatch_key is not None:
            await self._start_refund(order, ended.state, reason)
        return ended.moved

    async def _end_in_temporal(self, order_id: str) -> tuple[OrderState, str] | None:
        """Return how the order's workflow ended; None while it runs."""
        handle = self._client.get_workflow_handle(order_id)
        try:
            found = await handle.describe()
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return OrderState.FAILED, "settled: Temporal does not know the order"
            raise
        if found.status is None or found.status is WorkflowExecutionStatus.RUNNING:
            return None
        if found.status is WorkflowExecutionStatus.COMPLETED:
            handle = self._client.get_workflow_handle(order_id, result_type=OrderResult)
            result = await handle.result()
            state = result.state if result.state is not OrderState.FULFILLED else OrderState.FAILED
            return state, f"settled: {result.reason or 'completed without a record'}"
        state = _END_OF.get(found.status, OrderState.FAILED)
        return state, f"settled: workflow {found.status.name.lower()}"

    async def _adopt_rowless(self) -> None:
        """Write the row of closed workflows that never got one, so that they are settled too."""
        since = datetime.now(UTC) - policies.SETTLE_WINDOW
        query = (
            f"WorkflowType = '{messages.ORDER_WORKFLOW}' AND CloseTime > '{since.isoformat()}'"
            " AND (ExecutionStatus IN ('TimedOut', 'Terminated', 'Failed', 'Canceled')"
            f" OR OrderState = '{messages.UNRECORDED}')"
        )
        ids = [
            found.id
            async for found in self._client.list_workflows(query, limit=policies.SETTLE_BATCH)
        ]
        for order_id in await reads.unknown_orders(self._pool, ids):
            order = await self._input_of(order_id)
            if order is not None:
                await receive(self._pool, order_id, order, {"by": messages.SETTLE_WORKFLOW})

    async def _input_of(self, order_id: str) -> OrderInput | None:
        """Return what a workflow was started with; None if it was malformed: it did nothing."""
        handle = self._client.get_workflow_handle(order_id)
        async for event in handle.fetch_history_events(page_size=1):
            payloads = event.workflow_execution_started_event_attributes.input.payloads
            try:
                converter = self._client.data_converter.payload_converter
                found: OrderInput = converter.from_payloads(payloads, [OrderInput])[0]
            except (ApplicationError, IndexError):
                return None
            return found
        return None

    async def _start_refund(self, order: Unsettled, state: OrderState, reason: str) -> bool:
        """Start the order's refund unless it runs or has run; return whether it was started."""
        refund = RefundInput(
            order_id=order.order_id,
            payment_id=order.payment_id,
            state=state,
            reason=reason,
            shipping_task_queue=self._shipping_task_queue,
        )
        try:
            await self._client.start_workflow(
                messages.REFUND_WORKFLOW,
                refund,
                id=messages.refund_id(order.order_id),
                task_queue=self._order_task_queue,
                task_timeout=policies.TASK_TIMEOUT,
                # One that closed without settling the payment was terminated or is a bug's;
                # every step of it is idempotent.
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
            )
        except WorkflowAlreadyStartedError:
            return False
        return True
