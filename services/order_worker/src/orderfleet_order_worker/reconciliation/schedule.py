"""The schedule of ReconcileOrders, made or updated when an order worker starts."""

from datetime import timedelta

import structlog
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleState,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from temporalio.service import RPCError, RPCStatusCode

from orderfleet.domain import priorities
from orderfleet.domain.contract import RECONCILE_WORKFLOW, reconcile_schedule
from orderfleet.domain.policies import RECONCILE_RUN, TASK_TIMEOUT
from orderfleet_order_worker.settings import OrderWorkerSettings

_DEFAULT_INTERVAL = 10

log = structlog.stdlib.get_logger(__name__)


async def schedule_reconciliation(client: Client, settings: OrderWorkerSettings) -> None:
    """Make this fleet's schedule; if another worker has, bring it up to these settings."""
    schedule_id = reconcile_schedule(settings.order_task_queue)
    schedule = Schedule(
        action=ScheduleActionStartWorkflow(
            RECONCILE_WORKFLOW,
            id=schedule_id,
            task_queue=settings.order_task_queue,
            execution_timeout=RECONCILE_RUN,
            task_timeout=TASK_TIMEOUT,
            static_summary="ends orders that were left behind",
            priority=priorities.RECONCILE,
        ),
        spec=ScheduleSpec(
            intervals=[
                ScheduleIntervalSpec(
                    every=timedelta(seconds=settings.reconcile_seconds or _DEFAULT_INTERVAL)
                )
            ]
        ),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP),
        state=ScheduleState(paused=not settings.reconcile_seconds),
    )
    try:
        try:
            await client.create_schedule(schedule_id, schedule)
        except ScheduleAlreadyRunningError:

            def replace(_found: ScheduleUpdateInput) -> ScheduleUpdate:
                return ScheduleUpdate(schedule)

            await client.get_schedule_handle(schedule_id).update(replace)
        await _delete_schedules_of_releases_before(client, settings.order_task_queue)
    except RPCError as error:
        # Orders can be fulfilled without the backstop; the next worker that starts tries again.
        log.warning("cannot set the schedule of ReconcileOrders", error=str(error))


async def _delete_schedules_of_releases_before(client: Client, task_queue: str) -> None:
    """Delete this fleet's schedules of SettleOrders (decision 25).

    All fleets of a namespace once shared the first id.
    """
    for schedule_id in ("settle-orders", f"settle-orders-{task_queue}"):
        handle = client.get_schedule_handle(schedule_id)
        try:
            action = (await handle.describe()).schedule.action
            if isinstance(action, ScheduleActionStartWorkflow) and action.task_queue == task_queue:
                await handle.delete()
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
