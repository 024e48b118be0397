"""The work of ReconcileOrders: compare Postgres with Temporal and end what was left behind.

The phases run concurrently, so that none waits for another: refunds that are owed, orders open in
Postgres whose workflow has closed, closed workflows without a row, changes that no worker took up,
after a restore what the backup lacks, and, if the fleet forgets orders by their age, those that are
old enough.
A phase, or an order of a phase, that fails is logged, counted and reported; the others continue.
"""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from random import sample
from typing import Any, Final

import structlog
from msgspec import Struct
from prometheus_client import CollectorRegistry
from temporalio import activity
from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError

from orderfleet.domain import contract, policies, priorities, summaries
from orderfleet.domain.contract import RefundInput
from orderfleet.domain.orders import TRANSITIONS, OrderState, is_order_id
from orderfleet.domain.payments import PaymentStatus
from orderfleet.domain.text import printable
from orderfleet.gateways.protocols import PaymentGateway
from orderfleet.gateways.sanitized import SanitizedPaymentGateway
from orderfleet.gateways.simulated import SimulatedPaymentGateway
from orderfleet.store import change_requests
from orderfleet.store.forget import due_orders
from orderfleet.store.pool import Pool
from orderfleet.store.reconciliation import LeftBehind, open_orders, owed_refunds, unknown_orders
from orderfleet.store.restore import restore_fulfilled, restore_payment
from orderfleet.store.restores import Restore, in_doubt, pending_restore
from orderfleet.store.transitions import Transition, end_order, receive
from orderfleet.temporal.visibility import of_queue
from orderfleet_order_worker.forgetting.start import start_forgetting
from orderfleet_order_worker.metrics import MeasuredPaymentGateway, OrderWorkerMetrics, Phase
from orderfleet_order_worker.reconciliation.evidence import (
    Evidence,
    dispatched_keys,
    read_evidence,
    workflow_ids,
)
from orderfleet_order_worker.reconciliation.restored import RestoredOrders
from orderfleet_order_worker.reconciliation.run import ReconciliationRun, ReconciliationSummary
from orderfleet_order_worker.reconciliation.stuck_refunds import free_refund, stuck_refunds
from orderfleet_order_worker.settings import OrderWorkerSettings

log = structlog.stdlib.get_logger(__name__)

# Younger orders are skipped: an order's own workflow ends it and starts its refund. Short, because
# a workflow can be terminated at any age, and an order whose workflow runs is skipped in any case.
_GRACE: Final = timedelta(seconds=5)

_BY: Final = {"by": contract.RECONCILE_WORKFLOW}
_UNKNOWN: Final = "Temporal does not know the order"


class Traces(Struct, frozen=True):
    """Result of `trace`: whether a charge may have been made, and the carrier's keys in use.

    `restored`: the records are a backup's, and the carrier knows better.
    """

    charged: bool
    keys: list[str]
    restored: bool = False


class ReconciliationActivities:
    """The backstop's activities with what they need."""

    def __init__(
        self,
        pool: Pool,
        client: Client,
        settings: OrderWorkerSettings,
        metrics: OrderWorkerMetrics | None = None,
        gateway: PaymentGateway | None = None,
    ) -> None:
        self._pool = pool
        self._metrics = metrics or OrderWorkerMetrics(CollectorRegistry())
        self._client = client
        sanitized = SanitizedPaymentGateway(gateway or SimulatedPaymentGateway(pool))
        self._restored = RestoredOrders(
            pool, client, MeasuredPaymentGateway(sanitized, self._metrics)
        )
        self._order_task_queue = settings.order_task_queue
        self._shipping_task_queue = settings.shipping_task_queue
        self._forget_after = timedelta(days=settings.forget_after_days)

    def all(self) -> list[Callable[..., Any]]:
        """Return the activities to register."""
        return [self.reconcile, self.settle, self.trace]

    @activity.defn
    async def reconcile(self, since: datetime | None = None) -> ReconciliationSummary:
        """End every order that is open in Postgres and closed in Temporal; undo its payment.

        Args:
            since: workflows that closed earlier have their row; None is the whole window.

        Returns:
            What was done, and what failed; failures do not fail the activity.
        """
        began = datetime.now(UTC)
        run = ReconciliationRun(self._metrics)
        await run.phase(Phase.RESTORED, self._read_restore(run))
        since = since or began - policies.RECONCILE_WINDOW
        if run.restore is not None:
            since = min(since, run.restore.since - policies.RECONCILE_OVERLAP)
        phases: dict[Phase, Coroutine[Any, Any, None]] = {
            Phase.REFUNDS: self._start_refunds(run),
            Phase.OPEN: self._end_open(run),
            Phase.ROWLESS: self._adopt_rowless(run, since),
            Phase.REQUESTS: self._answer_requests(run),
        }
        if run.restore is not None:
            phases[Phase.RESTORED] = self._find_lost(run, run.restore)
        if self._forget_after:
            phases[Phase.FORGET] = self._forget_old(run, self._forget_after)
        async with asyncio.TaskGroup() as group:
            for phase, work in phases.items():
                group.create_task(run.phase(phase, work))
        return run.summary(began)

    @activity.defn
    async def settle(self, since: datetime | None = None) -> ReconciliationSummary:
        """Do the same for a run of SettleOrders (decision 25)."""
        return await self.reconcile(since)

    @activity.defn
    async def trace(self, order_id: str) -> Traces:
        """Return what an order may have taken by Temporal's histories, whatever its row says.

        An order whose history is gone, or was restored from a backup, may have taken everything: a
        charge, and all packages.
        """
        evidence = await read_evidence(self._client, order_id)
        began = None if evidence is None else evidence.began
        restored = await in_doubt(self._pool, began, policies.RECONCILE_OVERLAP)
        if restored or evidence is None or evidence.task_queue != self._order_task_queue:
            attempts = range(1, policies.SHIPPING_ATTEMPTS + 1)
            keys = [contract.carrier_key(order_id, attempt) for attempt in attempts]
            return Traces(charged=True, keys=keys, restored=restored)
        keys = await dispatched_keys(self._client, order_id, evidence)
        return Traces(evidence.charge_begun, keys)

    # --- Refunds that are owed -----------------------------------------------------------------

    async def _start_refunds(self, run: ReconciliationRun) -> None:
        """Start the owed refunds whose workflow does not run, and free those that cannot begin."""
        owed = [order async for order in owed_refunds(self._pool, older_than=_GRACE)]
        running = await self._running(contract.REFUND_WORKFLOW) if owed else set()
        idle = [order for order in owed if contract.refund_id(order.order_id) not in running]

        async def start(order: LeftBehind) -> None:
            await self._start_refund(run, order, order.state, "reconciled")

        async def free(workflow_id: str) -> None:
            await free_refund(self._client, workflow_id)

        await run.each(Phase.REFUNDS, idle, lambda order: order.order_id, start)
        if running:
            stuck = await stuck_refunds(self._client, self._order_task_queue, older_than=_GRACE)
            await run.each(Phase.REFUNDS, stuck, str, free)

    async def _start_refund(
        self, run: ReconciliationRun, order: LeftBehind, state: OrderState, reason: str
    ) -> None:
        """Start the order's refund unless it runs.

        Raises:
            ValueError: its id is not a valid order id, which RefundWorkflow refuses. Older releases
                accepted such ids.
        """
        if not is_order_id(order.order_id):
            raise ValueError("not a valid order id: refund it by hand")
        refund = RefundInput(
            order_id=order.order_id,
            payment_id=order.payment_id,
            state=state,
            reason=reason,
            shipping_task_queue=self._shipping_task_queue,
        )
        try:
            await self._client.start_workflow(
                contract.REFUND_WORKFLOW,
                refund,
                id=contract.refund_id(order.order_id),
                task_queue=self._order_task_queue,
                task_timeout=policies.TASK_TIMEOUT,
                # A refund that closed before the payment's end was terminated, or has a bug. Each
                # of its steps is idempotent.
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
                static_summary=summaries.undo_of(state),
                priority=priorities.UNDO,
            )
        except WorkflowAlreadyStartedError:
            return
        run.refunds_started += 1

    # --- Orders that are open ------------------------------------------------------------------

    async def _end_open(self, run: ReconciliationRun) -> None:
        """End the open orders whose workflow does not run; the others need no call of Temporal."""
        open_ = [order async for order in open_orders(self._pool, older_than=_GRACE)]
        running = await self._running(contract.ORDER_WORKFLOW) if open_ else set()
        idle = [order for order in open_ if order.order_id not in running]

        async def end(order: LeftBehind) -> None:
            evidence = await read_evidence(self._client, order.order_id)
            if evidence is None or not self._is_of(order, evidence):
                evidence = Evidence("", None, OrderState.FAILED, _UNKNOWN, charge_begun=True)
            await self._end(run, order, evidence)

        await run.each(Phase.OPEN, idle, lambda order: order.order_id, end)

    def _is_of(self, order: LeftBehind, evidence: Evidence) -> bool:
        """Tell whether a workflow belongs to the row, and not to another fleet.

        Its queue is this fleet's, or this fleet's queue had another name then: in that case its
        input is the same order.
        """
        if evidence.task_queue == self._order_task_queue:
            return True
        return evidence.order is not None and evidence.order.fingerprint == order.fingerprint

    async def _end(self, run: ReconciliationRun, order: LeftBehind, evidence: Evidence) -> None:
        if evidence.end is None:
            return
        reason = printable(f"reconciled: {evidence.reason}")
        if evidence.end is OrderState.FULFILLED:
            payload = {**_BY, "reason": reason}
            if evidence.shipped is not None and evidence.shipped.tracking:
                payload["tracking"] = printable(evidence.shipped.tracking)
            self._ended(run, order, await restore_fulfilled(self._pool, order.order_id, payload))
            return
        if run.restore is not None and not evidence.charge_begun:
            # The history may be older than the charge.
            evidence.charge_begun = await self._restored.is_charged(order.payment_id)
        if evidence.charge_begun:
            # Before the end: from here on the refund is owed, even if this run fails.
            await restore_payment(self._pool, order.order_id, _BY)
        state = evidence.end if evidence.end in TRANSITIONS[order.state] else OrderState.FAILED
        ended = await end_order(self._pool, order.order_id, state, reason, [])
        self._ended(run, order, ended)
        if ended is None or ended.state is OrderState.FULFILLED:
            return
        owed = ended.payment in {PaymentStatus.PENDING, PaymentStatus.CAPTURED}
        if owed or (ended.moved and ended.dispatch_key is not None):
            await self._start_refund(run, order, ended.state, reason)

    def _ended(self, run: ReconciliationRun, order: LeftBehind, ended: Transition | None) -> None:
        if ended is not None and ended.moved:
            run.ended += 1
            self._metrics.order_reconciled(ended)
            log.warning("order reconciled", order_id=order.order_id, state=ended.state)

    # --- Closed workflows without a row --------------------------------------------------------

    async def _adopt_rowless(self, run: ReconciliationRun, since: datetime) -> None:
        """Write the row of closed workflows that have none, and end them."""
        query = (
            f"{of_queue(contract.ORDER_WORKFLOW, self._order_task_queue)}"
            f" AND CloseTime > '{since.isoformat()}'"
        )

        async def adopt(order_id: str) -> None:
            evidence = await read_evidence(self._client, order_id)
            if evidence is None or evidence.order is None:
                return
            if evidence.task_queue != self._order_task_queue:
                # Another fleet has run it again since.
                return
            received = evidence.order
            if not await receive(self._pool, order_id, received, _BY):
                return
            order = LeftBehind(
                order_id, received.payment_id, OrderState.RECEIVED, received.fingerprint
            )
            await self._end(run, order, evidence)

        async for page in workflow_ids(self._client, query):
            ids = {order_id for order_id in page if is_order_id(order_id)}
            unknown = await unknown_orders(self._pool, sorted(ids))
            await run.each(Phase.ROWLESS, unknown, str, adopt)

    # --- Queued changes ------------------------------------------------------------------------

    async def _answer_requests(self, run: ReconciliationRun) -> None:
        """Refuse the changes that no worker took up before their order ended."""
        queued = [request async for request in change_requests.of_ended_orders(self._pool)]

        async def answer(request: change_requests.Request) -> None:
            await change_requests.answer(self._pool, request)

        await run.each(Phase.REQUESTS, queued, lambda request: request.order_id, answer)

    # --- After a restore -----------------------------------------------------------------------

    async def _read_restore(self, run: ReconciliationRun) -> None:
        run.restore = await pending_restore(self._pool)

    async def _find_lost(self, run: ReconciliationRun, restore: Restore) -> None:
        """Find the charges that the restored records lack."""

        async def refund(order: LeftBehind, reason: str) -> None:
            await self._start_refund(run, order, order.state, reason)

        async def end(order: LeftBehind) -> None:
            lost = Evidence("", None, OrderState.FAILED, _UNKNOWN, charge_begun=True)
            await self._end(run, order, lost)

        await self._restored.find_lost(run, restore, refund, end)

    # --- Old orders ----------------------------------------------------------------------------

    async def _forget_old(self, run: ReconciliationRun, older_than: timedelta) -> None:
        """Have old orders forgotten, each by a workflow of its own."""
        oldest = policies.FORGET_OLDEST
        due = await due_orders(self._pool, older_than=older_than, most=oldest)

        async def forget(order_id: str) -> None:
            await start_forgetting(self._client, order_id, self._order_task_queue)

        chosen = sample(due, min(len(due), policies.FORGET_AT_ONCE))
        await run.each(Phase.FORGET, chosen, str, forget)

    async def _running(self, workflow_type: str) -> set[str]:
        """Return the ids of this fleet's running workflows."""
        query = f"{of_queue(workflow_type, self._order_task_queue)} AND ExecutionStatus = 'Running'"
        return {id_ async for page in workflow_ids(self._client, query) for id_ in page}
