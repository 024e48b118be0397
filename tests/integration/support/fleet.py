"""API and workers of one test, in the test's process, on task queues of their own."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from temporalio.client import Client, WorkflowHandle
from temporalio.worker import Worker

from orderfleet.domain.contract import OrderResult
from orderfleet.domain.orders import Address, Item, Order, OrderState
from orderfleet.gateways.simulated import Faults, SimulatedCarrier, SimulatedPaymentGateway
from orderfleet.observability.worker_metrics import WorkerMetrics
from orderfleet.runtime.process import Lifecycle
from orderfleet.runtime.worker import make_worker, run_worker
from orderfleet.store.pool import Pool
from orderfleet.store.queries import EventRow, find_order, find_record
from orderfleet.versions.deployments import Version
from orderfleet.versions.serving import Serving
from orderfleet_api.backends import Backends
from orderfleet_api.settings import ApiSettings
from orderfleet_order_worker import main as order_main
from orderfleet_order_worker.activities import OrderActivities
from orderfleet_order_worker.forgetting.activities import ForgetActivities
from orderfleet_order_worker.reconciliation.activities import ReconciliationActivities
from orderfleet_order_worker.settings import OrderWorkerSettings
from orderfleet_shipping_worker import main as shipping_main
from orderfleet_shipping_worker.activities import ShippingActivities
from orderfleet_shipping_worker.settings import ShippingWorkerSettings
from tests.integration.support.servers import Database

HOME = Address("1 Home Street", "Hometown")
# Ten times what an order needs: a slow machine must not change the outcome.
PATIENCE = 60.0


@dataclass(frozen=True)
class Fleet:
    """What a test needs to run workers and to call the API.

    A test may make `pool` fail; the gateways use a pool of their own.
    """

    database: Database
    pool: Pool
    gateway_pool: Pool
    temporal: Client
    address: str
    suffix: str

    def common(self) -> dict[str, Any]:
        """Return the settings that all services share."""
        return {
            "database_url": self.database.url,
            "temporal_address": self.address,
            "order_task_queue": f"orders-{self.suffix}",
            "shipping_task_queue": f"shipping-{self.suffix}",
            "drain_seconds": 1.0,
        }

    def order_settings(self, **more: Any) -> OrderWorkerSettings:
        return OrderWorkerSettings(**(self.common() | more))

    def order_worker(
        self,
        faults: Faults = (),
        *,
        client: Client | None = None,
        workflows: Sequence[type] = order_main.WORKFLOWS,
        metrics: WorkerMetrics | None = None,
        version: Version | None = None,
        **more: Any,
    ) -> Worker:
        """Build an order worker as its `serve` does."""
        settings = self.order_settings(gateway_faults=faults, **more)
        orders = OrderActivities(
            self.pool,
            SimulatedPaymentGateway(self.gateway_pool, faults),
            shipping_task_queue=settings.shipping_task_queue,
        )
        reconciliation = ReconciliationActivities(self.pool, self.temporal, settings)
        forgetting = ForgetActivities(self.pool, self.temporal, settings)
        return make_worker(
            client or self.temporal,
            settings,
            task_queue=settings.order_task_queue,
            workflows=workflows,
            activities=[*orders.all(), *reconciliation.all(), *forgetting.all()],
            metrics=metrics,
            version=version,
        )

    def shipping_worker(self, faults: Faults = (), **more: Any) -> Worker:
        """Build a shipping worker as its `serve` does."""
        settings = ShippingWorkerSettings(**(self.common() | more))
        activities = ShippingActivities(self.pool, SimulatedCarrier(self.gateway_pool, faults))
        return make_worker(
            self.temporal,
            settings,
            task_queue=settings.shipping_task_queue,
            workflows=shipping_main.WORKFLOWS,
            activities=activities.all(),
        )

    @asynccontextmanager
    async def working(self, faults: Faults = (), **more: Any) -> AsyncIterator[None]:
        """Run both workers."""
        async with self.order_worker(faults, **more), self.shipping_worker(faults, **more):
            yield

    def backends(self, **more: Any) -> Backends:
        """Return the API's backends, without a review and with a minute for an order."""
        defaults: dict[str, Any] = {"order_deadline_seconds": PATIENCE, "review_seconds": 0.0}
        return Backends(self.pool, self.temporal, ApiSettings(**(self.common() | defaults | more)))

    def workflow(self, order_id: str) -> WorkflowHandle[Any, OrderResult]:
        return self.temporal.get_workflow_handle(order_id, result_type=OrderResult)

    async def result(self, order_id: str) -> OrderResult:
        async with asyncio.timeout(PATIENCE):
            return await self.workflow(order_id).result()

    async def state(self, order_id: str) -> OrderState | None:
        row = await find_order(self.pool, order_id)
        return row.state if row else None

    async def reached(self, order_id: str, *states: OrderState) -> None:
        """Wait until the order's row has one of the states."""

        async def there() -> bool:
            return await self.state(order_id) in states

        await eventually(there)

    async def events(self, order_id: str) -> list[EventRow]:
        record = await find_record(self.pool, order_id)
        return record.events if record else []

    async def event_types(self, order_id: str) -> list[str]:
        return [event.type for event in await self.events(order_id)]


def an_order(payment_id: str, address: Address = HOME, price: str = "7.50") -> Order:
    return Order(payment_id=payment_id, address=address, items=[Item("ABC", 2, price)])


def new_id(prefix: str = "order") -> str:
    """Return a unique id: tests share Temporal's server."""
    return f"{prefix}-{uuid4().hex[:12]}"


async def run_order_worker(
    make: Callable[[Client], Worker],
    client: Client,
    settings: OrderWorkerSettings,
    lifecycle: Lifecycle,
    *,
    reconnect: Callable[[], Awaitable[Client]],
) -> None:
    """Run an order worker as its program does, without versioning, until the lifecycle ends it."""
    await run_worker(
        make,
        client,
        settings,
        lifecycle,
        serving=Serving(client, settings.order_task_queue, None, "none"),
        reconnect=reconnect,
        metrics=lambda: b"",
    )


async def eventually(true: Callable[[], Awaitable[bool]], seconds: float = 30) -> None:
    """Wait until the condition holds."""
    async with asyncio.timeout(seconds):
        while not await true():  # noqa: ASYNC110 (Postgres and Temporal have no event to set)
            await asyncio.sleep(0.05)
