"""The shipping worker: ShippingWorkflow and the carrier on the shipping queue."""

from typing import Final

from orderfleet.client import connect
from orderfleet.gateways import Carrier
from orderfleet.http_gateways import HTTPCarrier
from orderfleet.service import Life, run_service
from orderfleet.settings import start
from orderfleet.simulated_gateways import SimulatedCarrier
from orderfleet.store.pool import Pool
from orderfleet.telemetry.logs import configure_logs
from orderfleet.telemetry.metrics import WorkerMetrics
from orderfleet.telemetry.process import observed
from orderfleet.worker import make_worker, run_worker
from orderfleet_shipping_worker.activities import ShippingActivities
from orderfleet_shipping_worker.settings import ShippingWorkerSettings
from orderfleet_shipping_worker.workflow import ShippingWorkflow

PROGRAM: Final = "orderfleet-shipping-worker"
WORKFLOWS = (ShippingWorkflow,)


def main() -> None:
    """Run the shipping worker until SIGTERM."""
    settings = start(ShippingWorkerSettings, PROGRAM)
    configure_logs(
        settings.log_level,
        settings.log_format,
        service="shipping-worker",
        traced=bool(settings.spans_by),
    )
    run_service(
        PROGRAM,
        lambda life: serve(settings, life),
        drain=settings.drain_seconds,
    )


async def serve(settings: ShippingWorkerSettings, life: Life) -> None:
    """Connect, poll the shipping queue, drain."""
    async with observed(settings, life, program=PROGRAM) as seen:
        metrics = WorkerMetrics(seen.registry)
        client = await connect(settings, runtime=seen.core.runtime, plugins=seen.traces.plugins)
        worker = make_worker(
            client,
            settings,
            task_queue=settings.shipping_task_queue,
            workflows=WORKFLOWS,
            activities=ShippingActivities(seen.pool, carrier(settings, seen.pool), metrics).all(),
            metrics=metrics,
        )
        await run_worker(worker, settings, life, metrics=seen.metrics)


def carrier(settings: ShippingWorkerSettings, pool: Pool) -> Carrier:
    """Return the carrier that the settings name."""
    if settings.carrier_url:
        return HTTPCarrier(settings.carrier_url)
    return SimulatedCarrier(pool, settings.gateway_faults)


if __name__ == "__main__":
    main()
