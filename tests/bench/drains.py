"""What a worker swallows that leaves: tasks that Temporal hands to a poll that nobody answers.

Workers of the fleet's own make, on Temporal's server as the chart configures it, leave one after
the other under a steady load, a new one first. A swallowed activity comes back after its heartbeat
timeout, a swallowed workflow task after its own timeout: both stand in the histories.

    .venv/bin/python -m tests.bench.drains [--drains 60] [--rate 8]

compares `frontend.enableCancelWorkerPollsOnShutdown` off and on, and each with a time in which
nobody leaves. See decision 36.
"""

import argparse
import asyncio
import os
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Final
from uuid import uuid4

from msgspec import Struct
from temporalio import activity, workflow
from temporalio.api.enums.v1 import EventType, TimeoutType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client, WorkflowHandle
from temporalio.common import RetryPolicy
from temporalio.worker import Worker

from orderfleet.domain.policies import HEARTBEAT_TIMEOUT, TASK_TIMEOUT
from orderfleet.observability.sdk_metrics import SdkMetrics
from orderfleet.runtime.worker import make_worker
from orderfleet.settings import WorkerSettings
from orderfleet.temporal.plugin import OrderfleetPlugin
from orderfleet_cli.printing import show
from orderfleet_cli.signals import run_until_signal
from tests.bench.server import Server, run_server

SETTING: Final = "frontend.enableCancelWorkerPollsOnShutdown"
_QUEUE: Final = "drains"
_STEPS: Final = 5
_WORKERS: Final = 2
# Between two departures, so that the newcomer polls and workflows settle.
_PAUSE: Final = 1.0
_ACTIVITY: Final = timedelta(seconds=3)
_RUNTIME: Final = SdkMetrics().runtime


@activity.defn
async def step(number: int) -> int:
    """Take 20 ms, as a statement and a fast gateway do."""
    await asyncio.sleep(0.02)
    return number


@workflow.defn
class Steps:
    """Activities one after the other, each of which needs a workflow task too."""

    @workflow.run
    async def run(self) -> int:
        for number in range(_STEPS):
            await workflow.execute_activity(
                step,
                number,
                start_to_close_timeout=_ACTIVITY,
                heartbeat_timeout=HEARTBEAT_TIMEOUT,
                retry_policy=RetryPolicy(initial_interval=timedelta(milliseconds=200)),
            )
        return _STEPS


class Course(Struct):
    """What happened while workers left."""

    drains: list[float]
    swallowed: Counter[str]
    durations: list[float]

    def lines(self) -> list[str]:
        """Return the figures."""
        drains, durations = sorted(self.drains), sorted(self.durations)
        return [
            f"workflows {len(durations)}, drains {len(drains)}",
            f"swallowed: {dict(self.swallowed) or 'nothing'}",
            *(f"a drain: {_median(drains)}, most {most:.2f} s" for most in drains[-1:]),
            f"a workflow: {_median(durations)}, most {durations[-1]:.2f} s",
        ]


async def measure(server: Server, *, drains: int, rate: float, leave: bool) -> Course:
    """Let workers leave, or stay as long, under a load."""
    client = await _connect(server)
    handles: list[WorkflowHandle[Steps, int]] = []
    stop = asyncio.Event()
    load = asyncio.create_task(_place(client, rate, handles, stop))
    workers = [await _start(server) for _ in range(_WORKERS)]
    took: list[float] = []
    for _ in range(drains):
        if not leave:
            await asyncio.sleep(_PAUSE)
            continue
        workers.append(await _start(server))
        await asyncio.sleep(_PAUSE)
        worker, running = workers.pop(0)
        began = time.monotonic()
        await worker.shutdown()
        await running
        took.append(time.monotonic() - began)
    stop.set()
    await load
    await asyncio.gather(*(handle.result() for handle in handles))
    course = Course(took, Counter(), [])
    for handle in handles:
        events = (await handle.fetch_history()).events
        course.swallowed.update(filter(None, map(_swallowed, events)))
        course.durations.append(_seconds(events))
    for worker, running in workers:
        await worker.shutdown()
        await running
    return course


async def _connect(server: Server) -> Client:
    return await server.client(plugins=[OrderfleetPlugin()], runtime=_RUNTIME)


async def _start(server: Server) -> tuple[Worker, asyncio.Task[None]]:
    worker = make_worker(
        # A client takes one worker of a queue.
        await _connect(server),
        WorkerSettings(sandbox=False),
        task_queue=_QUEUE,
        workflows=[Steps],
        activities=[step],
    )
    return worker, asyncio.create_task(worker.run())


async def _place(
    client: Client,
    rate: float,
    handles: list[WorkflowHandle[Steps, int]],
    stop: asyncio.Event,
) -> None:
    began = time.monotonic()
    while not stop.is_set():
        handles.append(
            await client.start_workflow(
                Steps.run, id=f"steps-{uuid4()}", task_queue=_QUEUE, task_timeout=TASK_TIMEOUT
            )
        )
        await asyncio.sleep(max(0.0, began + len(handles) / rate - time.monotonic()))


def _swallowed(event: HistoryEvent) -> str:
    """Return what an event shows that a worker did not answer, or nothing."""
    if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT:
        kind = event.workflow_task_timed_out_event_attributes.timeout_type
        return f"workflow task: {_kind(kind)}"
    if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED:
        failure = event.activity_task_started_event_attributes.last_failure
        if failure.HasField("timeout_failure_info"):
            return f"activity: {_kind(failure.timeout_failure_info.timeout_type)}"
        if failure.message:
            return f"activity: {failure.message}"
    return ""


def _kind(kind: "TimeoutType.ValueType") -> str:
    return TimeoutType.Name(kind).removeprefix("TIMEOUT_TYPE_").lower()


def _seconds(events: Sequence[HistoryEvent]) -> float:
    return events[-1].event_time.ToNanoseconds() / 1e9 - events[0].event_time.ToNanoseconds() / 1e9


def _median(values: Sequence[float]) -> str:
    return f"median {median(values):.2f} s"


async def main() -> None:
    """Measure with the setting off and on."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--drains", type=int, default=60)
    parser.add_argument("--rate", type=float, default=8.0)
    arguments = parser.parse_args()
    for on in (False, True):
        with tempfile.TemporaryDirectory() as data:
            async with run_server(Path(data), {SETTING: on}) as server:
                show(f"{SETTING}={on}, {server.kind}")
                for leave in (False, True):
                    course = await measure(
                        server, drains=arguments.drains, rate=arguments.rate, leave=leave
                    )
                    show(*(f"  {line}" for line in course.lines()))


if __name__ == "__main__":
    status = 1
    try:
        run_until_signal(main())
        status = 0
    except Exception:  # noqa: BLE001 (printed)
        traceback.print_exc()
    finally:
        # Threads of the SDK may keep the process.
        os._exit(status)
