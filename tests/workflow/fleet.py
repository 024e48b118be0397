"""Both workers of the fleet, sandbox on, on Temporal's time-skipping server or a real one."""

import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.plugin import SimplePlugin
from temporalio.testing import WorkflowEnvironment

from orderfleet.domain import contract
from orderfleet.domain.contract import OrderInput
from orderfleet.domain.orders import Address, Item
from orderfleet.runtime.worker import make_worker
from orderfleet.settings import WorkerSettings
from orderfleet.temporal.plugin import OrderfleetPlugin
from orderfleet_order_worker.forgetting.workflow import ForgetWorkflow
from orderfleet_order_worker.refund_workflow import RefundWorkflow
from orderfleet_order_worker.workflow import OrderWorkflow
from orderfleet_shipping_worker.workflow import ShippingWorkflow
from tests.workflow.activities import OrderScript, ShippingScript
from tests.workflow.case import ORDER_STATE, Case
from tests.workflow.world import World

HOME = Address(street="1 Main Street", city="Springfield")


class Fleet:
    """The environment with both workers running."""

    def __init__(self, environment: WorkflowEnvironment, world: World) -> None:
        self.environment = environment
        self.client = environment.client
        self.world = world
        self._number = count(1)

    def order(
        self,
        *,
        deadline: float = 15.0,
        review: float = 2.0,
        items: Sequence[Item] = (Item(sku="ABC"),),
        payment_id: str = "",
        order_id: str = "",
    ) -> Case:
        order_id = order_id or f"order-{next(self._number)}"
        order = OrderInput(
            payment_id=payment_id or f"pay-{order_id}",
            address=HOME,
            items=list(items),
            deadline_seconds=deadline,
            review_seconds=review,
        )
        return Case(self.environment, self.world, order_id, order)


@asynccontextmanager
async def running_fleet(
    *, cached_workflows: int = 100, telemetry: Sequence[SimplePlugin] = ()
) -> AsyncIterator[Fleet]:
    """Run the time-skipping server and both workers until the block ends."""
    environment = await WorkflowEnvironment.start_time_skipping(
        test_server_existing_path=_program("temporal-test-server"),
        plugins=[OrderfleetPlugin(telemetry=telemetry)],
    )
    async with environment:
        client = environment.client
        keyword = IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
        await client.operator_service.add_search_attributes(
            AddSearchAttributesRequest(
                namespace=client.namespace, search_attributes={ORDER_STATE.name: keyword}
            )
        )
        async with _workers(environment, cached_workflows) as fleet:
            yield fleet


@asynccontextmanager
async def real_fleet() -> AsyncIterator[Fleet]:
    """Run Temporal's development server, where time does not skip, and both workers."""
    environment = await WorkflowEnvironment.start_local(
        dev_server_existing_path=_program("temporal"),
        plugins=[OrderfleetPlugin()],
        search_attributes=[ORDER_STATE],
    )
    async with environment, _workers(environment) as fleet:
        yield fleet


@asynccontextmanager
async def _workers(
    environment: WorkflowEnvironment, cached_workflows: int = 100
) -> AsyncIterator[Fleet]:
    world = World()
    # An attempt that hangs for ever in a test is not waited for.
    settings = WorkerSettings(cached_workflows=cached_workflows, drain_seconds=0)
    orders = make_worker(
        environment.client,
        settings,
        task_queue=contract.ORDER_TASK_QUEUE,
        workflows=[OrderWorkflow, RefundWorkflow, ForgetWorkflow],
        activities=OrderScript(world).all(),
    )
    shipping = make_worker(
        environment.client,
        settings,
        task_queue=contract.SHIPPING_TASK_QUEUE,
        workflows=[ShippingWorkflow],
        activities=ShippingScript(world).all(),
    )
    async with orders, shipping:
        yield Fleet(environment, world)


def _program(name: str) -> str:
    return str(Path(sys.executable).with_name(name))
