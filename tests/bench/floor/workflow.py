"""The order's workflows without the order: the same commands, and constants for an answer.

`OwnShape` has the commands of Orderfleet's workflows, `UsualShape` runs each step as a regular
activity. Default converter, no database, no telemetry; its worker turns the sandbox off.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from temporalio import activity, workflow
from temporalio.common import WorkflowIDReusePolicy

from orderfleet.domain.contract import ORDER_STATE
from orderfleet.domain.policies import (
    FORWARD_SHARE,
    HEARTBEAT_TIMEOUT,
    SQL_STEP,
    STEP_RETRY,
    TASK_TIMEOUT,
)
from tests.bench.subjects.subject import DEADLINE_SECONDS

ORDERS: Final = "floor-orders-tq"
SHIPPING: Final = "floor-shipping-tq"
DEADLINE: Final = timedelta(seconds=DEADLINE_SECONDS)
_LOCAL: Final[Any] = {
    "start_to_close_timeout": SQL_STEP,
    "schedule_to_close_timeout": DEADLINE * FORWARD_SHARE,
    "retry_policy": STEP_RETRY,
}
_REGULAR: Final[Any] = {**_LOCAL, "heartbeat_timeout": HEARTBEAT_TIMEOUT}


@dataclass
class FloorOrder:
    """What an order's workflow is started with."""

    payment_id: str
    street: str
    city: str
    review_seconds: float


@activity.defn
async def receive(order: FloorOrder) -> str:
    """Receive nothing."""
    return SHIPPING


@activity.defn
async def validate(order: FloorOrder) -> str:
    """Validate nothing."""
    return ""


@activity.defn
async def charge(payment_id: str) -> str:
    """Charge nothing."""
    return "captured"


@activity.defn
async def prepare(order_id: str) -> str:
    """Prepare nothing."""
    return "prepared"


@activity.defn
async def dispatch(order_id: str) -> str:
    """Dispatch nothing."""
    return "tracking"


ORDER_ACTIVITIES: Final = (receive, validate, charge)
SHIPPING_ACTIVITIES: Final = (prepare, dispatch)


class _Order:
    child: str

    def __init__(self) -> None:
        self._decided = False

    async def _review_to_end(self, order: FloorOrder) -> str:
        if order.review_seconds:
            try:
                await workflow.wait_condition(lambda: self._decided, timeout=order.review_seconds)
            except TimeoutError:
                self._decided = True
        await workflow.execute_activity(charge, order.payment_id, **_REGULAR)
        order_id = workflow.info().workflow_id
        shipped: str = await workflow.execute_child_workflow(
            self.child,
            order_id,
            id=f"{order_id}/shipping/1",
            task_queue=SHIPPING,
            execution_timeout=DEADLINE,
            task_timeout=TASK_TIMEOUT,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
        )
        workflow.upsert_search_attributes([ORDER_STATE.value_set("fulfilled")])
        return shipped


@workflow.defn
class OwnShapeOrder(_Order):
    """Receive and validate inside the workflow task, as Orderfleet does."""

    child = "OwnShapeShipping"

    @workflow.run
    async def run(self, order: FloorOrder) -> str:
        """Do all of it."""
        await workflow.execute_local_activity(receive, order, **_LOCAL)
        await workflow.execute_local_activity(validate, order, **_LOCAL)
        return await self._review_to_end(order)


@workflow.defn
class OwnShapeShipping:
    """Prepare inside the workflow task."""

    @workflow.run
    async def run(self, order_id: str) -> str:
        """Do all of it."""
        await workflow.execute_local_activity(prepare, order_id, **_LOCAL)
        return await workflow.execute_activity(dispatch, order_id, **_REGULAR)


@workflow.defn
class UsualShapeOrder(_Order):
    """Each step a regular activity."""

    child = "UsualShapeShipping"

    @workflow.run
    async def run(self, order: FloorOrder) -> str:
        """Do all of it."""
        await workflow.execute_activity(receive, order, **_REGULAR)
        await workflow.execute_activity(validate, order, **_REGULAR)
        return await self._review_to_end(order)


@workflow.defn
class UsualShapeShipping:
    """Each step a regular activity."""

    @workflow.run
    async def run(self, order_id: str) -> str:
        """Do all of it."""
        await workflow.execute_activity(prepare, order_id, **_REGULAR)
        return await workflow.execute_activity(dispatch, order_id, **_REGULAR)


ORDERS_OF: Final[dict[str, type]] = {"own": OwnShapeOrder, "usual": UsualShapeOrder}
ORDER_WORKFLOWS: Final = tuple(ORDERS_OF.values())
SHIPPING_WORKFLOWS: Final = (OwnShapeShipping, UsualShapeShipping)
