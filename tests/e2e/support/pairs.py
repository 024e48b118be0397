"""Two workers of one task queue, as in production, and which of them works on an order."""

import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client
from temporalio.service import RPCError

from orderfleet_cli.errors import CommandError
from orderfleet_cli.local.ports import LOOPBACK
from orderfleet_cli.local.processes import Process, Program, answers, environment, executable
from tests.e2e.support import faults
from tests.e2e.support.orders import Orders, eventually


class Pair:
    """The fleet's worker of a kind, a second worker beside it, and a client of Temporal."""

    def __init__(self, orders: Orders, name: str, second: Process, temporal: Client) -> None:
        self._temporal = temporal
        self._stop: dict[int, Callable[[signal.Signals], Awaitable[int]]] = {
            orders.fleet.pid(name): partial(orders.fleet.stop, name),
            second.pid: second.stop,
        }

    def stand_still(self) -> None:
        for pid in self._stop:
            os.kill(pid, signal.SIGSTOP)

    def go_on(self) -> None:
        for pid in self._stop:
            os.kill(pid, signal.SIGCONT)

    async def kill(self, identity: str) -> None:
        """Kill the worker of this identity, which is `pid@host`."""
        stop = self._stop.pop(int(identity.partition("@")[0]))
        assert await stop(signal.SIGKILL) == -signal.SIGKILL

    async def end(self, identity: str) -> int:
        """Send a worker SIGTERM and return its exit status."""
        return await self._stop.pop(int(identity.partition("@")[0]))(signal.SIGTERM)

    async def history(self, workflow_id: str) -> list[HistoryEvent]:
        """Return the events of a workflow; none if there is no such workflow yet."""
        try:
            found = await self._temporal.get_workflow_handle(workflow_id).fetch_history()
        except RPCError:
            return []
        return list(found.events)

    async def task_under_way(self, workflow_id: str) -> str:
        """Wait until a worker has a task of the workflow, and return its identity."""
        started = EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED
        events = await eventually(
            lambda: self.history(workflow_id),
            lambda events: bool(events) and events[-1].event_type == started,
        )
        return events[-1].workflow_task_started_event_attributes.identity

    async def at_rest(self, workflow_id: str) -> str:
        """Wait until the workflow waits for a timer; return the worker that caches it."""
        completed = EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
        timer = EventType.EVENT_TYPE_TIMER_STARTED
        events = await eventually(
            lambda: self.history(workflow_id),
            lambda events: bool(events) and events[-1].event_type == timer,
        )
        tasks = [one for one in events if one.event_type == completed]
        return tasks[-1].workflow_task_completed_event_attributes.identity

    async def activity_under_way(self, workflow_id: str) -> str:
        """Return the identity of the worker that runs the workflow's activity."""
        described = await self._temporal.get_workflow_handle(workflow_id).describe()
        [running] = described.raw_description.pending_activities
        return running.last_worker_identity

    async def lost_tasks(self, workflow_id: str) -> list[int]:
        """Return the types of the timeouts of the workflow's tasks."""
        return [
            event.workflow_task_timed_out_event_attributes.timeout_type
            for event in await self.history(workflow_id)
            if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT
        ]

    async def lost_attempts(self, workflow_id: str) -> list[int]:
        """Return the types of the timeouts that ended earlier attempts of activities."""
        started = [
            event.activity_task_started_event_attributes
            for event in await self.history(workflow_id)
            if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED
        ]
        return [
            one.last_failure.timeout_failure_info.timeout_type
            for one in started
            if one.HasField("last_failure")
        ]


@asynccontextmanager
async def pair(orders: Orders, name: str, port: int) -> AsyncIterator[Pair]:
    """Run a second worker beside the fleet's; leave the fleet's worker running alone."""
    fleet = orders.fleet
    env = {
        "DATABASE_URL": fleet.database_url,
        "TEMPORAL_ADDRESS": fleet.temporal_address,
        "ORDERFLEET_PROBE_HOST": LOOPBACK,
        "ORDERFLEET_PROBE_PORT": str(port),
    }
    program = Program(
        name=f"{name}-2",
        argv=(executable(f"orderfleet-{name}"),),
        env=environment(faults.ENV) | env,
        ready=lambda: answers(port, "/readyz"),
    )
    second = Process(program, fleet.data)
    temporal = await Client.connect(fleet.temporal_address)
    try:
        await second.start()
        both = Pair(orders, name, second, temporal)
        try:
            yield both
        finally:
            both.go_on()
    finally:
        await second.stop()
        try:
            fleet.pid(name)
        except CommandError:
            # The test killed the fleet's worker.
            await fleet.start(name)
