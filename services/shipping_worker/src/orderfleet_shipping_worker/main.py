"""The shipping worker: ShippingWorkflow and the carrier on the shipping queue."""

from functools import partial
from typing import Final

import orderfleet_shipping_worker
from orderfleet.gateways.factory import make_carrier
from orderfleet.observability.logging import configure_logs
from orderfleet.observability.worker_metrics import WorkerMetrics
from orderfleet.runtime.arguments import load_settings
from orderfleet.runtime.process import Lifecycle, run_service
from orderfleet.runtime.resources import open_resources
from orderfleet.runtime.worker import make_worker, serve_queue
from orderfleet_shipping_worker.activities import ShippingActivities
from orderfleet_shipping_worker.settings import ShippingWorkerSettings
from orderfleet_shipping_worker.workflow import ShippingWorkflow

PROGRAM: Final = "orderfleet-shipping-worker"
WORKFLOWS = (ShippingWorkflow,)


def main() -> None:
    """Run the shipping worker until SIGTERM."""
    settings = load_settings(ShippingWorkerSettings, PROGRAM)
    configure_logs(
        settings.log_level,
        settings.log_format,
        service="shipping-worker",
        traced=bool(settings.trace_protocol),
    )
    run_service(
        PROGRAM,
        lambda lifecycle: serve(settings, lifecycle),
        drain=settings.stop_seconds,
    )


async def serve(settings: ShippingWorkerSettings, lifecycle: Lifecycle) -> None:
    """Connect, poll the shipping queue, drain."""
    async with open_resources(settings, lifecycle, program=PROGRAM) as resources:
        metrics = WorkerMetrics(resources.registry)
        client = await resources.connect(settings)
        carrier = make_carrier(
            settings.carrier_url,
            resources.pool,
            settings.gateway_faults,
            settings.carrier_credentials,
            resources.credentials.add,
        )
        make = partial(
            make_worker,
            workflows=WORKFLOWS,
            activities=ShippingActivities(resources.pool, carrier, metrics).all(),
            metrics=metrics,
        )
        await serve_queue(
            make,
            client,
            resources,
            settings,
            lifecycle,
            task_queue=settings.shipping_task_queue,
            package=orderfleet_shipping_worker,
        )


if __name__ == "__main__":
    main()
