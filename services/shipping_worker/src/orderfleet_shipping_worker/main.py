"""The shipping worker: ShippingWorkflow and the carrier on the shipping queue."""

from functools import partial

from orderfleet.client import connect
from orderfleet.gateways import Carrier
from orderfleet.http_gateways import HTTPCarrier
from orderfleet.service import Life, run_service
from orderfleet.settings import start
from orderfleet.simulated_gateways import SimulatedCarrier
from orderfleet.store.pool import Pool, open_pool
from orderfleet.telemetry.core_metrics import CoreMetrics
from orderfleet.telemetry.database import DatabaseMetrics
from orderfleet.telemetry.logs import configure_logs
from orderfleet.telemetry.metrics import WorkerMetrics, make_registry, render
from orderfleet.telemetry.traces import configure_traces
from orderfleet.worker import make_worker, run_worker
from orderfleet_shipping_worker.activities import ShippingActivities
from orderfleet_shipping_worker.settings import ShippingWorkerSettings
from orderfleet_shipping_worker.workflow import ShippingWorkflow

WORKFLOWS = (ShippingWorkflow,)


def main() -> None:
    """Run the shipping worker until SIGTERM."""
    settings = start(ShippingWorkerSettings, "orderfleet-shipping-worker")
    configure_logs(
        settings.log_level,
        settings.log_format,
        service="shipping-worker",
        traced=bool(settings.spans_by),
    )
    run_service(
        "orderfleet-shipping-worker",
        lambda life: serve(settings, life),
        drain=settings.drain_seconds,
    )


async def serve(settings: ShippingWorkerSettings, life: Life) -> None:
    """Connect, poll the shipping queue, drain."""
    core = CoreMetrics()
    registry = make_registry(
        "orderfleet-shipping-worker", life, drain_seconds=settings.drain_seconds
    )
    metrics = WorkerMetrics(registry)
    database = DatabaseMetrics(registry)
    async with (
        configure_traces(settings, service="orderfleet-shipping-worker") as traces,
        open_pool(
            settings.database_url,
            size=settings.database_pool_size,
            wait_seconds=settings.start_wait_seconds,
            connection_class=database.timed(traces.connection_class),
        ) as pool,
    ):
        database.watch(pool)
        client = await connect(settings, runtime=core.runtime, plugins=traces.plugins)
        worker = make_worker(
            client,
            settings,
            task_queue=settings.shipping_task_queue,
            workflows=WORKFLOWS,
            activities=ShippingActivities(pool, carrier(settings, pool), metrics).all(),
            metrics=metrics,
        )
        await run_worker(worker, settings, life, metrics=partial(render, registry, core))


def carrier(settings: ShippingWorkerSettings, pool: Pool) -> Carrier:
    """Return the carrier that the settings name."""
    if settings.carrier_url:
        return HTTPCarrier(settings.carrier_url)
    return SimulatedCarrier(pool, settings.gateway_faults)


if __name__ == "__main__":
    main()
