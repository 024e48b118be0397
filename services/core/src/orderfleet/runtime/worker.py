"""Run a Temporal worker: slots, pollers, drain."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from functools import partial
from types import ModuleType
from typing import Any, Final

import structlog
from msgspec.structs import replace
from prometheus_client import CollectorRegistry
from temporalio.client import Client
from temporalio.common import WorkerDeploymentVersion
from temporalio.worker import (
    Interceptor,
    PollerBehaviorAutoscaling,
    UnsandboxedWorkflowRunner,
    Worker,
    WorkerDeploymentConfig,
    WorkflowRunner,
)
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from orderfleet.domain.policies import HEARTBEAT_INTERVAL
from orderfleet.observability.logging import SDK_CORE
from orderfleet.observability.sdk_log_context import SdkLogContext
from orderfleet.observability.step_metrics import StepMetricsInterceptor
from orderfleet.observability.worker_metrics import WorkerMetrics
from orderfleet.runtime.probes import serve_probes
from orderfleet.runtime.process import Lifecycle
from orderfleet.runtime.reconnect import Reconnection
from orderfleet.runtime.resources import Resources
from orderfleet.settings import WorkerSettings
from orderfleet.temporal.attempts import AttemptsInterceptor
from orderfleet.temporal.credentials import follow_credentials
from orderfleet.temporal.encryption import keys_of
from orderfleet.temporal.fault_injection import FlakyInterceptor
from orderfleet.temporal.namespace import require_namespace
from orderfleet.temporal.unversioned import UnversionedWorkflowRunner
from orderfleet.versions.deployments import Version
from orderfleet.versions.serving import Serving, find_version

log = structlog.stdlib.get_logger(__name__)

# A sticky task that its worker does not take in time goes to any worker; the default is 10 s, two
# thirds of an order's time. Not shorter: a server with default settings fires no timer sooner, and
# whenever a worker is only busy, another worker replays the whole order.
STICKY_TIMEOUT: Final = timedelta(seconds=1)


def interceptors(flaky: str, metrics: WorkerMetrics) -> list[Interceptor]:
    """Return what surrounds steps, the outermost first; OrderfleetPlugin adds the innermost."""
    outer: list[Interceptor] = [StepMetricsInterceptor(metrics.steps), AttemptsInterceptor()]
    return [*outer, FlakyInterceptor(flaky)] if flaky else outer


def make_worker(
    client: Client,
    settings: WorkerSettings,
    *,
    task_queue: str,
    workflows: Sequence[type],
    activities: Sequence[Callable[..., Any]],
    metrics: WorkerMetrics | None = None,
    version: Version | None = None,
) -> Worker:
    """Build the worker of one task queue.

    Args:
        client: connected to Temporal, with OrderfleetPlugin.
        settings: slots, cache, drain.
        task_queue: the queue to poll.
        workflows: that may run here.
        activities: that may run here.
        metrics: without them its counters are not exported.
        version: of the worker; None without versioning.
    """
    metrics = metrics or WorkerMetrics(CollectorRegistry())
    metrics.set_slots(settings)
    runner: WorkflowRunner = (
        SandboxedWorkflowRunner() if settings.sandbox else UnsandboxedWorkflowRunner()
    )
    deployment = None
    if version is None:
        runner = UnversionedWorkflowRunner(runner)
    else:
        deployment = WorkerDeploymentConfig(
            WorkerDeploymentVersion(version.deployment, version.build), use_worker_versioning=True
        )
    log_context = _log_context()
    return Worker(
        client,
        task_queue=task_queue,
        workflows=workflows,
        activities=activities,
        interceptors=[*interceptors(settings.flaky, metrics), log_context],
        workflow_runner=runner,
        deployment_config=deployment,
        max_cached_workflows=settings.cached_workflows,
        max_concurrent_workflow_tasks=settings.workflow_slots,
        max_concurrent_activities=settings.activity_slots,
        # A workflow runs one local activity at a time, so none waits for a slot.
        max_concurrent_local_activities=settings.workflow_slots,
        workflow_task_poller_behavior=PollerBehaviorAutoscaling(),
        activity_task_poller_behavior=PollerBehaviorAutoscaling(),
        sticky_queue_schedule_to_start_timeout=STICKY_TIMEOUT,
        # By default the SDK throttles heartbeats to 0.8 of their timeout: one in each timeout.
        max_heartbeat_throttle_interval=HEARTBEAT_INTERVAL,
        graceful_shutdown_timeout=timedelta(seconds=settings.drain_seconds),
    )


async def serve_queue(
    make: Callable[..., Worker],
    client: Client,
    resources: Resources,
    settings: WorkerSettings,
    lifecycle: Lifecycle,
    *,
    task_queue: str,
    package: ModuleType,
) -> None:
    """Run the worker of a service's task queue; see `run_worker`.

    Args:
        make: `make_worker` with the service's workflows, activities and metrics.
        client: of the resources.
        resources: of the process.
        settings: of the service.
        lifecycle: of the process.
        task_queue: the queue to poll.
        package: the service's, which is part of its build.

    Raises:
        RPCError: the namespace does not exist, or Temporal does not answer.
    """
    version = await find_version(client, settings, task_queue, package)
    await run_worker(
        partial(make, settings=settings, task_queue=task_queue, version=version),
        client,
        settings,
        lifecycle,
        serving=Serving(client, task_queue, version, settings.version_promotion),
        reconnect=partial(resources.connect, replace(settings, start_wait_seconds=0)),
        metrics=resources.metrics,
    )


async def run_worker(
    make: Callable[[Client], Worker],
    client: Client,
    settings: WorkerSettings,
    lifecycle: Lifecycle,
    *,
    serving: Serving,
    reconnect: Callable[[], Awaitable[Client]],
    metrics: Callable[[], bytes],
) -> None:
    """Run a worker until the request to shut down, then drain it and return.

    From SIGTERM on the process is not ready, and it polls no longer than orders need its build.
    Activities that still run `drain_seconds` later are cancelled. After an outage of Temporal
    another worker takes over, with a new client, and others in the seconds after it; the first one
    ends what it has begun. With new certificates, the worker goes on, on a new connection of its
    client. Without the payload keys of the orders the process takes no tasks and is not ready:
    Temporal retries a task that fails after 2 s at the earliest, so that a few of them make an
    order late.

    Raises:
        RPCError: the namespace does not exist.
    """
    keys = keys_of(client)
    worker = make(client)
    reconnection = Reconnection(worker.task_queue, reconnect)

    def take_connection() -> None:
        # A worker stopped for lack of a key has no connection; the next worker takes the new one.
        if worker.is_running:
            worker.client = worker.client

    with serve_probes(
        settings.probe_host,
        settings.probe_port,
        ready=lambda: lifecycle.ready and serving.ready and worker.is_running,
        metrics=metrics,
    ):
        await require_namespace(client)
        async with asyncio.TaskGroup() as group:
            running = asyncio.create_task(worker.run())
            stopping = asyncio.create_task(lifecycle.stopping.wait())
            keeping = group.create_task(serving.keep())
            following = group.create_task(follow_credentials(client, take_connection))
            lifecycle.started = True
            log.info(
                "polling",
                task_queue=worker.task_queue,
                sandbox=settings.sandbox,
                build=serving.build or None,
            )
            while True:
                back = asyncio.create_task(reconnection.next_client(client))
                lacking = asyncio.create_task(keys.lacking.wait())
                await asyncio.wait(
                    {running, stopping, back, lacking}, return_when=asyncio.FIRST_COMPLETED
                )
                if running.done() or stopping.done():
                    break
                draining = group.create_task(_drain(worker, running))
                if back.done():
                    client = back.result()
                else:
                    back.cancel()
                    waiting = asyncio.create_task(keys.wait_for_key())
                    await asyncio.wait({stopping, waiting}, return_when=asyncio.FIRST_COMPLETED)
                    if stopping.done():
                        waiting.cancel()
                        await draining
                        break
                lacking.cancel()
                worker = make(client)
                running = asyncio.create_task(worker.run())
            back.cancel()
            lacking.cancel()
            stopping.cancel()
            keeping.cancel()
            following.cancel()
            farewell = asyncio.create_task(serving.wait_for_orders(settings.pinned_seconds))
            await asyncio.wait({running, farewell}, return_when=asyncio.FIRST_COMPLETED)
            farewell.cancel()
            await _drain(worker, running)


async def _drain(worker: Worker, running: asyncio.Task[None]) -> None:
    if not running.done():
        await worker.shutdown()
    await running


def _log_context() -> SdkLogContext:
    """Return the log context of the process: workers that follow each other share it."""
    core = logging.getLogger(SDK_CORE)
    for context in core.filters:
        if isinstance(context, SdkLogContext):
            return context
    made = SdkLogContext()
    core.addFilter(made)
    return made
