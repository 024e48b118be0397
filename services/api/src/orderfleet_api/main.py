"""The API: one process, as Python is one core; scale by replicas."""

import gc
from typing import Final

from orderfleet.observability.logging import configure_logs
from orderfleet.runtime.arguments import load_settings
from orderfleet.runtime.probes import serve_probes
from orderfleet.runtime.process import Lifecycle, run_service
from orderfleet.runtime.reconnect import keep_answering
from orderfleet.runtime.resources import open_resources
from orderfleet.temporal.client import check_admitted, connect
from orderfleet_api.admission import Admission, watched
from orderfleet_api.app import create_app
from orderfleet_api.backends import Backends
from orderfleet_api.background import in_background
from orderfleet_api.bulkheads import Bulkheads
from orderfleet_api.connections import Connections
from orderfleet_api.failure_log import FailureLog
from orderfleet_api.feed.metrics import FeedMetrics
from orderfleet_api.fleet_exporter import fleet_gauges
from orderfleet_api.metrics import ApiMetrics
from orderfleet_api.middleware.limits import limited
from orderfleet_api.middleware.request_metrics import measured
from orderfleet_api.server import serve_http
from orderfleet_api.settings import ApiSettings

PROGRAM: Final = "orderfleet-api"
# The client retries a busy Temporal after 1 s, 2 s, 4 s, ...: with more retries, the 3 s of a call
# would end before the client reports that Temporal is busy and not unavailable.
RETRIES: Final = 2


def main() -> None:
    """Serve until SIGTERM."""
    settings = load_settings(ApiSettings, PROGRAM)
    configure_logs(
        settings.log_level, settings.log_format, service="api", traced=bool(settings.trace_protocol)
    )
    run_service(PROGRAM, lambda lifecycle: serve(settings, lifecycle), drain=settings.drain_seconds)


async def serve(settings: ApiSettings, lifecycle: Lifecycle) -> None:
    """Serve until the process is asked to stop.

    The API does not wait for Postgres and Temporal: without them it answers with 503. But if
    Temporal answers that the API key is not valid, it ends, as the workers do.
    """
    async with open_resources(settings, lifecycle, program=PROGRAM, lazy=True) as resources:
        client = await connect(
            settings,
            runtime=resources.runtime,
            lazy=True,
            retries=RETRIES,
            telemetry=resources.traces.plugins,
            keys=resources.payload_keys,
            credentials=resources.temporal,
        )
        await check_admitted(client)
        failures = FailureLog()
        metrics = ApiMetrics(resources.registry)
        bulkheads = Bulkheads(settings, resources.registry)
        spans = []
        if resources.traces.on:
            # It imports OpenTelemetry, which is loaded only if spans are exported.
            from orderfleet_api.middleware.tracing import RequestSpans  # noqa: PLC0415

            spans.append(RequestSpans())
        admission = Admission(settings, resources.registry)
        backends = Backends(
            resources.pool,
            client,
            settings,
            lifecycle.stopping,
            metrics,
            bulkheads,
            admission,
            FeedMetrics(resources.registry),
        )
        keys = settings.load_keys()
        resources.credentials.add(keys.file)
        app = create_app(backends, spans, keys)
        connections = Connections(bulkheads.connections, failures, resources.registry)
        probes = serve_probes(
            settings.probe_host,
            settings.probe_port,
            ready=lambda: lifecycle.ready,
            metrics=resources.metrics,
        )
        async with (
            fleet_gauges(resources.registry, resources.pool, client, settings),
            watched(admission, resources.pool, client),
            in_background(resources.temporal.follow()),
            in_background(keep_answering(client)),
        ):
            with probes:
                _collect_less()
                served = measured(limited(app, lifecycle.stopping), metrics, failures)
                await serve_http(served, settings, lifecycle, connections)


def _collect_less() -> None:
    """Collect garbage rarely, and never what is loaded by now: saves 5 % of a request's CPU."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 50)


if __name__ == "__main__":
    main()
