"""The order worker: OrderWorkflow, RefundWorkflow and SettleOrders on the order queue."""

from functools import partial

from orderfleet.client import connect
from orderfleet.gateways import PaymentGateway
from orderfleet.http_gateways import HTTPPaymentGateway
from orderfleet.service import Life, run_service
from orderfleet.settings import start
from orderfleet.simulated_gateways import SimulatedPaymentGateway
from orderfleet.store.pool import Pool, open_pool
from orderfleet.telemetry.core_metrics import CoreMetrics
from orderfleet.telemetry.database import DatabaseMetrics
from orderfleet.telemetry.logs import configure_logs
from orderfleet.telemetry.metrics import make_registry, render
from orderfleet.telemetry.traces import configure_traces
from orderfleet.worker import make_worker, run_worker
from orderfleet_order_worker.activities import OrderActivities
from orderfleet_order_worker.metrics import OrderWorkerMetrics
from orderfleet_order_worker.refund import RefundWorkflow
from orderfleet_order_worker.schedule import schedule_settling
from orderfleet_order_worker.settings import OrderWorkerSettings
from orderfleet_order_worker.settle import SettleOrders
from orderfleet_order_worker.settle_activities import SettleActivities
from orderfleet_order_worker.workflow import OrderWorkflow

WORKFLOWS = (OrderWorkflow, RefundWorkflow, SettleOrders)


def main() -> None:
    """Run the order worker until SIGTERM."""
    settings = start(OrderWorkerSettings, "orderfleet-order-worker")
    configure_logs(
        settings.log_level,
        settings.log_format,
        service="order-worker",
        traced=bool(settings.spans_by),
    )
    run_service(
        "orderfleet-order-worker",
        lambda life: serve(settings, life),
        drain=settings.drain_seconds,
    )


async def serve(settings: OrderWorkerSettings, life: Life) -> None:
    """Connect, poll the order queue, drain."""
    core = CoreMetrics()
    registry = make_registry("orderfleet-order-worker", life, drain_seconds=settings.drain_seconds)
    metrics = OrderWorkerMetrics(registry)
    database = DatabaseMetrics(registry)
    async with (
        configure_traces(settings, service="orderfleet-order-worker") as traces,
        open_pool(
            settings.database_url,
            size=settings.database_pool_size,
            wait_seconds=settings.start_wait_seconds,
            connection_class=database.timed(traces.connection_class),
        ) as pool,
    ):
        database.watch(pool)
        client = await connect(settings, runtime=core.runtime, plugins=traces.plugins)
        await schedule_settling(client, settings)
        orders = OrderActivities(
            pool,
            payment_gateway(settings, pool),
            shipping_task_queue=settings.shipping_task_queue,
            metrics=metrics,
        )
        settling = SettleActivities(pool, client, settings, metrics)
        worker = make_worker(
            client,
            settings,
            task_queue=settings.order_task_queue,
            workflows=WORKFLOWS,
            activities=[*orders.all(), *settling.all()],
            metrics=metrics,
        )
        await run_worker(worker, settings, life, metrics=partial(render, registry, core))


def payment_gateway(settings: OrderWorkerSettings, pool: Pool) -> PaymentGateway:
    """Return the gateway that the settings name."""
    if settings.payment_gateway_url:
        return HTTPPaymentGateway(settings.payment_gateway_url)
    return SimulatedPaymentGateway(pool, settings.gateway_faults)


if __name__ == "__main__":
    main()
