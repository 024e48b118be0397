"""Replay of histories by a new build, before it takes orders."""

import asyncio
import threading
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import structlog
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import (
    HistoryEvent,
    WorkflowTaskScheduledEventAttributes,
    WorkflowTaskStartedEventAttributes,
)
from temporalio.client import Client, WorkflowHistory
from temporalio.converter import DataConverter
from temporalio.service import RPCError
from temporalio.worker import Replayer

from orderfleet.domain.text import printable
from orderfleet.temporal.client import is_absent
from orderfleet.temporal.plugin import OrderfleetPlugin
from orderfleet.temporal.visibility import of_queue
from orderfleet.versions.deployments import TIMEOUT

log = structlog.stdlib.get_logger(__name__)

_AT_ONCE: Final = 10
_TASK_SCHEDULED: Final = EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED
_TASK_STARTED: Final = EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED
_TASK_COMPLETED: Final = EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
_UPDATES: Final = frozenset(
    {
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED,
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED,
    }
)
# Ends by a command of the workflow. A time-out or a termination comes at any time.
_CLOSING: Final = frozenset(
    {
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED,
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED,
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED,
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW,
    }
)
_SHOWN: Final = 300


@dataclass(frozen=True)
class ReplayFailure:
    """A history that the build cannot continue."""

    workflow_type: str
    workflow_id: str
    message: str

    def __str__(self) -> str:
        return f"{self.workflow_type} {self.workflow_id}: {self.message}"


@dataclass
class Replayed:
    """How many histories were replayed, and those that failed."""

    wanted: int = 0
    done: int = 0
    failures: list[ReplayFailure] = field(default_factory=list)

    def of(self, types: Collection[str]) -> list[ReplayFailure]:
        """Return the failures of these workflow types."""
        return [failure for failure in self.failures if failure.workflow_type in types]


async def fetch_histories(
    client: Client, task_queue: str, types: Sequence[str], *, most: int
) -> list[WorkflowHistory]:
    """Fetch histories of open workflows and of those that closed last, `most` of each per type.

    Raises:
        RPCError: Temporal did not answer.
    """
    if not most:
        return []
    ids = [
        (execution.id, execution.run_id)
        for name in types
        for status in ("=", "!=")
        async for execution in client.list_workflows(
            f"{of_queue(name, task_queue)} AND ExecutionStatus {status} 'Running'",
            limit=most,
            rpc_timeout=TIMEOUT,
        )
    ]
    slots = asyncio.Semaphore(_AT_ONCE)

    async def fetch(workflow_id: str, run_id: str) -> WorkflowHistory | None:
        handle = client.get_workflow_handle(workflow_id, run_id=run_id)
        async with slots:
            try:
                return executed_part(await handle.fetch_history(rpc_timeout=TIMEOUT))
            except RPCError as error:
                # Its retention ended between the two calls.
                if is_absent(error):
                    return None
                raise

    fetched = await asyncio.gather(*(fetch(*id_) for id_ in ids))
    return [history for history in fetched if history is not None]


async def replay_histories(
    histories: Sequence[WorkflowHistory],
    workflows: Sequence[type],
    converter: DataConverter,
    *,
    seconds: float,
) -> Replayed:
    """Replay for at most so many seconds; `done` tells how far it came.

    The converter is that of the client which fetched the histories.

    The replay has a thread with a loop of its own, which is abandoned after that time: code of the
    build that blocks must not block the gate.
    """
    replayed = Replayed(wanted=len(histories))
    if not histories:
        return replayed
    loop, over = asyncio.get_running_loop(), asyncio.Event()

    def run() -> None:
        try:
            asyncio.run(_replay(histories, workflows, converter, replayed))
        except Exception:
            log.exception("the replay ended early")
        # The loop has closed if the replay was abandoned.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(over.set)

    threading.Thread(target=run, name="replay", daemon=True).start()
    try:
        async with asyncio.timeout(seconds):
            await over.wait()
    except TimeoutError:
        log.warning("the replay took too long", replayed=replayed.done, wanted=replayed.wanted)
    return replayed


def executed_part(history: WorkflowHistory) -> WorkflowHistory | None:
    """Return the part of a history that was executed, or nothing.

    That of an open workflow ends with the commands of its last task, and the begin of another task
    which makes the SDK check them. With what happened since, the replay would go on by itself, and
    wait for local activities that nobody runs.
    """
    events = history.events
    if events[-1].event_type in _CLOSING:
        return history
    completed = [
        number for number, event in enumerate(events) if event.event_type == _TASK_COMPLETED
    ]
    if not completed:
        return None
    executed = completed[-1] + 1
    while executed < len(events) and _is_command(events[executed], events[completed[-1]].event_id):
        executed += 1
    last, when = events[executed - 1].event_id, events[executed - 1].event_time
    scheduled = HistoryEvent(
        event_id=last + 1,
        event_time=when,
        event_type=_TASK_SCHEDULED,
        workflow_task_scheduled_event_attributes=WorkflowTaskScheduledEventAttributes(),
    )
    started = HistoryEvent(
        event_id=last + 2,
        event_time=when,
        event_type=_TASK_STARTED,
        workflow_task_started_event_attributes=WorkflowTaskStartedEventAttributes(
            scheduled_event_id=last + 1
        ),
    )
    return WorkflowHistory(history.workflow_id, [*events[:executed], scheduled, started])


def _is_command(event: HistoryEvent, completed: int) -> bool:
    """Return whether an event is of the workflow task that completed with this event."""
    if event.event_type in _UPDATES:
        return True
    attributes = getattr(event, event.WhichOneof("attributes") or "", None)
    return getattr(attributes, "workflow_task_completed_event_id", 0) == completed


async def _replay(
    histories: Sequence[WorkflowHistory],
    workflows: Sequence[type],
    converter: DataConverter,
    replayed: Replayed,
) -> None:
    replayer = Replayer(
        workflows=workflows,
        plugins=[OrderfleetPlugin(converter)],
    )
    async with replayer.workflow_replay_iterator(_iterate(histories)) as results:
        async for result in results:
            replayed.done += 1
            if result.replay_failure is not None:
                began = result.history.events[0].workflow_execution_started_event_attributes
                replayed.failures.append(
                    ReplayFailure(
                        began.workflow_type.name,
                        result.history.workflow_id,
                        printable(str(result.replay_failure))[:_SHOWN],
                    )
                )


async def _iterate(histories: Sequence[WorkflowHistory]) -> AsyncIterator[WorkflowHistory]:
    for history in histories:
        yield history
