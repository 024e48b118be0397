"""The schedule of SettleOrders, made or updated when an order worker starts."""

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
from temporalio.service import RPCError

from orderfleet.messages import SETTLE_SCHEDULE, SETTLE_WORKFLOW
from orderfleet.policies import SETTLE_STEP
from orderfleet_order_worker.settings import OrderWorkerSettings

_DEFAULT_INTERVAL = 10

log = structlog.stdlib.get_logger(__name__)


async def schedule_settling(client: Client, settings: OrderWorkerSettings) -> None:
    """Make the schedule; if another worker has, bring it up to these settings."""
    schedule = Schedule(
        action=ScheduleActionStartWorkflow(
            SETTLE_WORKFLOW,
            id=SETTLE_SCHEDULE,
            task_queue=settings.order_task_queue,
            execution_timeout=2 * SETTLE_STEP,
        ),
        spec=ScheduleSpec(
            intervals=[
                ScheduleIntervalSpec(
                    every=timedelta(seconds=settings.settle_seconds or _DEFAULT_INTERVAL)
                )
            ]
        ),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP),
        state=ScheduleState(paused=not settings.settle_seconds),
    )
    try:
        try:
            await client.create_schedule(SETTLE_SCHEDULE, schedule)
        except ScheduleAlreadyRunningError:

            def replace(_found: ScheduleUpdateInput) -> ScheduleUpdate:
                return ScheduleUpdate(schedule)

            await client.get_schedule_handle(SETTLE_SCHEDULE).update(replace)
    except RPCError as error:
        # Orders can be fulfilled without the backstop; the next worker that starts tries again.
        log.warning("the schedule of SettleOrders could not be set", error=str(error))
