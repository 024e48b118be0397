"""The orders of two builds since a ramp began, as Temporal's visibility shows them."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from statistics import median
from typing import Final

from temporalio.api.enums.v1 import EventType
from temporalio.api.failure.v1 import Failure
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client, WorkflowExecution, WorkflowExecutionStatus
from temporalio.common import SearchAttributeKey
from temporalio.service import RPCError

from orderfleet.domain.contract import ORDER_STATE, ORDER_WORKFLOW
from orderfleet.domain.orders import OrderState
from orderfleet.domain.text import printable
from orderfleet.temporal.client import is_absent
from orderfleet.temporal.decoding import decode_message
from orderfleet.temporal.queue_workers import list_queue_workers
from orderfleet.temporal.visibility import of_queue
from orderfleet.versions.deployments import TIMEOUT, Version
from orderfleet.versions.judgement import FIRST_TASK_SECONDS, Order

# Of each build. A look at so many takes 0.1 s of Temporal's time.
_MOST: Final = 1000
_MOST_BEFORE: Final = 200
# Good orders whose histories are read for their timers.
_MOST_TIMED: Final = 20
# Orders without a first task whose histories are read, per look.
_MOST_UNBEGUN: Final = 20
# So many younger orders of the current build have begun: then the task queue is not what delays.
_OVERTAKEN: Final = 3
_VERSION: Final = SearchAttributeKey.for_keyword("TemporalWorkerDeploymentVersion")
# States of orders, and statuses of shipping attempts.
_GOOD_ENDS: Final = frozenset({OrderState.FULFILLED, OrderState.CANCELLED, "completed", "canceled"})
_SHOWN: Final = 300


@dataclass(frozen=True)
class Samples:
    """Orders that began since the ramp did, by build."""

    new: Sequence[Order]
    current: Sequence[Order]


@dataclass
class OrderSampler:
    """Reads the orders of both builds from Temporal.

    A workflow has a version from its first completed task on. Where that task hangs or its worker
    died, the history tells who took it. An order that nobody took is the new build's if the current
    build has begun younger ones.
    """

    client: Client
    task_queue: str
    workflow_type: str
    new: Version
    current: Version
    _builds: dict[str, str] = field(default_factory=dict)
    _takers: dict[str, str] = field(default_factory=dict)

    async def before(self, until: datetime) -> list[Order]:
        """Return the last orders of the current build that ended before the ramp.

        Raises:
            RPCError: Temporal did not answer.
        """
        query = f"{self._of(self.current)} AND CloseTime <= '{until.isoformat()}'"
        return [_order(execution, until) for execution in await self._list(query, _MOST_BEFORE)]

    async def timer_seconds(self, orders: Sequence[Order]) -> float:
        """Return for how long a usual one of these orders waited for its timers.

        That is the same on every build; a timer that was cancelled does not count.

        Raises:
            RPCError: Temporal did not answer.
        """
        timed = [order.id for order in orders if order.good][:_MOST_TIMED]
        seconds = await asyncio.gather(*map(self._timer_seconds, timed))
        return median(seconds) if seconds else 0.0

    async def look(self, since: datetime, now: datetime) -> Samples:
        """Return the orders that began since then.

        Args:
            since: when the ramp began, by the server's clock.
            now: the present time, by the server's clock.

        Raises:
            RPCError: Temporal did not answer.
        """
        began = f" AND StartTime >= '{since.isoformat()}'"
        new = await self._list(self._of(self.new) + began, _MOST)
        current = await self._list(self._of(self.current) + began, _MOST)
        of_type = of_queue(self.workflow_type, self.task_queue)
        unbegun = await self._list(f"{of_type} AND {_VERSION.name} IS NULL{began}", _MOST_UNBEGUN)
        old_enough = [
            execution for execution in unbegun if _seconds(execution, now) > FIRST_TASK_SECONDS
        ]
        if old_enough:
            await self._note_pollers()
        takers = [(execution, await self._taker(execution)) for execution in old_enough]
        starts = sorted(execution.start_time for execution in current)
        overtaken = starts[-_OVERTAKEN] if len(starts) >= _OVERTAKEN else since
        ours = [
            execution
            for execution, taker in takers
            if taker == self.new.build or (not taker and execution.start_time < overtaken)
        ]
        theirs = [execution for execution, taker in takers if taker == self.current.build]
        return Samples(
            [*_orders(new, now), *_orders(ours, now, begun=False)],
            [*_orders(current, now), *_orders(theirs, now, begun=False)],
        )

    async def diagnose(self, order_id: str) -> str:
        """Return the last failure in an order's history or of its activities, or nothing."""
        handle = self.client.get_workflow_handle(order_id)
        try:
            description = await handle.describe(rpc_timeout=TIMEOUT)
            pending = description.raw_description.pending_activities
            failures = [activity.last_failure for activity in pending]
            events = (await handle.fetch_history(rpc_timeout=TIMEOUT)).events
        except RPCError:
            return ""
        failures += [failure for event in reversed(events) if (failure := _failure(event))]
        for failure in failures:
            decode_message(self.client.data_converter, failure)
        messages = [failure.message for failure in failures if failure.message]
        return printable(messages[0])[:_SHOWN] if messages else ""

    async def _timer_seconds(self, order_id: str) -> float:
        handle = self.client.get_workflow_handle(order_id)
        try:
            events = (await handle.fetch_history(rpc_timeout=TIMEOUT)).events
        except RPCError as error:
            # Its retention ended meanwhile.
            if is_absent(error):
                return 0.0
            raise
        times = {event.event_id: event.event_time.ToDatetime() for event in events}
        fired = [
            (event.event_id, event.timer_fired_event_attributes.started_event_id)
            for event in events
            if event.event_type == EventType.EVENT_TYPE_TIMER_FIRED
        ]
        return sum((times[end] - times[begin]).total_seconds() for end, begin in fired)

    def _of(self, version: Version) -> str:
        return f"{of_queue(self.workflow_type, self.task_queue)} AND {_VERSION.name} = '{version}'"

    async def _list(self, query: str, limit: int) -> list[WorkflowExecution]:
        listed = self.client.list_workflows(query, limit=limit, rpc_timeout=TIMEOUT)
        return [execution async for execution in listed]

    async def _note_pollers(self) -> None:
        listed = await list_queue_workers(
            self.client, self.task_queue, lately=True, rpc_timeout=TIMEOUT
        )
        self._builds |= {worker.identity: worker.build for worker in listed.workers}

    async def _taker(self, execution: WorkflowExecution) -> str:
        """Return the build whose worker took the first task; nothing if none did."""
        if known := self._takers.get(execution.run_id):
            return known
        handle = self.client.get_workflow_handle(execution.id, run_id=execution.run_id)
        started = EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED
        async for event in handle.fetch_history_events(rpc_timeout=TIMEOUT):
            if event.event_type == started:
                identity = event.workflow_task_started_event_attributes.identity
                self._takers[execution.run_id] = self._builds.get(identity, "unknown")
                return self._takers[execution.run_id]
        return ""


def _orders(
    executions: Iterable[WorkflowExecution], now: datetime, *, begun: bool = True
) -> list[Order]:
    return [_order(execution, now, begun=begun) for execution in executions]


def _order(execution: WorkflowExecution, now: datetime, *, begun: bool = True) -> Order:
    end = _end(execution)
    return Order(
        execution.id,
        _seconds(execution, now),
        end=end,
        good=end in _GOOD_ENDS,
        begun=begun or bool(end),
    )


def _end(execution: WorkflowExecution) -> str:
    """Return the state in which an order ended, the status of another workflow, or nothing."""
    status = execution.status
    if status is None or status is WorkflowExecutionStatus.RUNNING:
        return ""
    if execution.workflow_type == ORDER_WORKFLOW and status is WorkflowExecutionStatus.COMPLETED:
        return execution.typed_search_attributes.get(ORDER_STATE) or "without a state"
    return status.name.lower()


def _seconds(execution: WorkflowExecution, now: datetime) -> float:
    return ((execution.close_time or now) - execution.start_time).total_seconds()


def _failure(event: HistoryEvent) -> Failure | None:
    """Return the failure in an event; of an activity's, the cause says what happened."""
    match event.WhichOneof("attributes"):
        case "workflow_task_failed_event_attributes":
            return event.workflow_task_failed_event_attributes.failure
        case "workflow_execution_failed_event_attributes":
            return event.workflow_execution_failed_event_attributes.failure
        case "activity_task_failed_event_attributes":
            return event.activity_task_failed_event_attributes.failure
        case "marker_recorded_event_attributes":
            # Of a local activity.
            return event.marker_recorded_event_attributes.failure
        case "child_workflow_execution_failed_event_attributes":
            return event.child_workflow_execution_failed_event_attributes.failure
        case _:
            return None
