"""The order worker: the workflows of orders, refunds, reconciliation and forgetting."""

from functools import partial
from typing import Final

import orderfleet_order_worker
from orderfleet.gateways.factory import make_payment_gateway
from orderfleet.observability.logging import configure_logs
from orderfleet.runtime.arguments import load_settings
from orderfleet.runtime.process import Lifecycle, run_service
from orderfleet.runtime.resources import open_resources
from orderfleet.runtime.worker import make_worker, serve_queue
from orderfleet_order_worker.activities import OrderActivities
from orderfleet_order_worker.forgetting.activities import ForgetActivities
from orderfleet_order_worker.forgetting.workflow import ForgetWorkflow
from orderfleet_order_worker.metrics import OrderWorkerMetrics
from orderfleet_order_worker.reconciliation.activities import ReconciliationActivities
from orderfleet_order_worker.reconciliation.schedule import schedule_reconciliation
from orderfleet_order_worker.reconciliation.workflow import ReconcileOrders, SettleOrders
from orderfleet_order_worker.refund_workflow import RefundWorkflow
from orderfleet_order_worker.settings import OrderWorkerSettings
from orderfleet_order_worker.workflow import OrderWorkflow

PROGRAM: Final = "orderfleet-order-worker"
WORKFLOWS = (OrderWorkflow, RefundWorkflow, ReconcileOrders, SettleOrders, ForgetWorkflow)


def main() -> None:
    """Run the order worker until SIGTERM."""
    settings = load_settings(OrderWorkerSettings, PROGRAM)
    configure_logs(
        settings.log_level,
        settings.log_format,
        service="order-worker",
        traced=bool(settings.trace_protocol),
    )
    run_service(
        PROGRAM,
        lambda lifecycle: serve(settings, lifecycle),
        drain=settings.stop_seconds,
    )


async def serve(settings: OrderWorkerSettings, lifecycle: Lifecycle) -> None:
    """Connect, poll the order queue, drain."""
    async with open_resources(settings, lifecycle, program=PROGRAM) as resources:
        metrics = OrderWorkerMetrics(resources.registry)
        client = await resources.connect(settings)
        await schedule_reconciliation(client, settings)
        gateway = make_payment_gateway(
            settings.payment_gateway_url,
            resources.pool,
            settings.gateway_faults,
            settings.payment_gateway_credentials,
            resources.credentials.add,
        )
        orders = OrderActivities(
            resources.pool,
            gateway,
            shipping_task_queue=settings.shipping_task_queue,
            metrics=metrics,
        )
        reconciliation = ReconciliationActivities(
            resources.pool, client, settings, metrics, gateway
        )
        forgetting = ForgetActivities(resources.pool, client, settings)
        make = partial(
            make_worker,
            workflows=WORKFLOWS,
            activities=[*orders.all(), *reconciliation.all(), *forgetting.all()],
            metrics=metrics,
        )
        await serve_queue(
            make,
            client,
            resources,
            settings,
            lifecycle,
            task_queue=settings.order_task_queue,
            package=orderfleet_order_worker,
        )


if __name__ == "__main__":
    main()
