"""The shipping worker: ShippingWorkflow and the carrier on the shipping queue."""

from orderfleet.client import connect
from orderfleet.gateways import Carrier
from orderfleet.http_gateways import HTTPCarrier
from orderfleet.service import Life, run_service
from orderfleet.settings import start
from orderfleet.simulated_gateways import SimulatedCarrier
from orderfleet.store.pool import Pool, open_pool
from orderfleet.telemetry.logs import configure_logs
from orderfleet.worker import make_worker, run_worker
from orderfleet_shipping_worker.activities import ShippingActivities
from orderfleet_shipping_worker.settings import ShippingWorkerSettings
from orderfleet_shipping_worker.workflow import ShippingWorkflow

WORKFLOWS = (ShippingWorkflow,)


def main() -> None:
    """Run the shipping worker until SIGTERM."""
    settings = start(ShippingWorkerSettings, "orderfleet-shipping-worker")
    configure_logs(settings.log_level, settings.log_format, service="shipping-worker")
    run_service(
        "orderfleet-shipping-worker",
        lambda life: serve(settings, life),
        drain=settings.drain_seconds,
    )


async def serve(settings: ShippingWorkerSettings, life: Life) -> None:
    """Connect, poll the shipping queue, drain."""
    async with open_pool(
        settings.database_url,
        size=settings.database_pool_size,
        wait_seconds=settings.start_wait_seconds,
    ) as pool:
        client = await connect(settings)
        worker = make_worker(
            client,
            settings,
            task_queue=settings.shipping_task_queue,
            workflows=WORKFLOWS,
            activities=ShippingActivities(pool, carrier(settings, pool)).all(),
        )
        await run_worker(worker, settings, life)


def carrier(settings: ShippingWorkerSettings, pool: Pool) -> Carrier:
    """Return the carrier that the settings name."""
    if settings.carrier_url:
        return HTTPCarrier(settings.carrier_url)
    return SimulatedCarrier(pool, settings.gateway_faults)


if __name__ == "__main__":
    main()
