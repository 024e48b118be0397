"""Changes to an open order: each is applied once, identified by its id, one after another."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from typing import Any, TypeVar

import msgspec
from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, FailureError

with workflow.unsafe.imports_passed_through():
    from orderfleet.domain import policies
    from orderfleet.domain.contract import (
        OTHER_CHANGE,
        TOO_LATE,
        TOO_MANY_CHANGES,
        AddressChange,
        Cancel,
        Change,
        ChangeOutcome,
        ChangeResult,
        Review,
    )
    from orderfleet.domain.deadline import Budget
    from orderfleet.domain.events import Event
    from orderfleet.domain.orders import OrderState
    from orderfleet.temporal.steps import OnQueue, run_activity
    from orderfleet_order_worker.activities import OrderActivities
    from orderfleet_order_worker.activity_types import (
        AddressInput,
        CancelInput,
        NoteInput,
        ReviewInput,
    )
    from orderfleet_order_worker.progress import Progress

C = TypeVar("C", bound=Change)
A = TypeVar("A")
T = TypeVar("T")

# The patch for what older releases accepted and this one refuses. It is asked for only when there
# is something to refuse, so that no other history has its marker.
STRICT = "refused-at-the-entrance"


class Changes:
    """Applies changes by the statements that compete with dispatch, charge and end."""

    def __init__(self, order_id: str, progress: Progress, budget: Budget) -> None:
        self.cancelled = False
        self.closed = False
        self.reviewable = False
        self.decision: Review | None = None
        self._order_id = order_id
        self._progress = progress
        self._budget = budget
        self._received = False
        self._tried = 0
        self._reviewing = 0
        # By kind, id and actor, so that the ids of different callers do not collide.
        self._seen: dict[tuple[Any, ...], tuple[Change, asyncio.Task[ChangeResult]]] = {}
        self._started: set[asyncio.Task[None]] = set()
        # Two concurrent changes of address could be applied in either order.
        self._lock = asyncio.Lock()

    @property
    def pending(self) -> bool:
        """Tell whether a change that no handler waits for is still under way."""
        return any(not task.done() for task in self._started)

    @property
    def reviewing(self) -> bool:
        """Tell whether a person's decision is being written."""
        return bool(self._reviewing) and self.decision is None

    def open(self) -> None:
        """Let changes begin: the order has its row."""
        self._received = True

    def close(self) -> None:
        """Let changes be too late from now on: the order has its end."""
        self.closed = True

    def check(self, change: Change) -> None:
        """Refuse an update before it enters the history.

        Raises:
            ApplicationError: of type `OtherChange`, `TooLate` or `TooManyChanges`.
        """
        seen = self._seen.get(_key(change))
        if seen is not None:
            if seen[0] != change:
                raise _other_change()
        elif self.closed:
            raise too_late(f"order is {self._progress.state}")
        elif self._is_full(change):
            raise _too_many()

    def has_seen(self, change: Change) -> bool:
        """Tell whether this change was sent before."""
        return _key(change) in self._seen

    async def cancel(self, change: Cancel) -> ChangeResult:
        """Cancel the order, once.

        Raises:
            ApplicationError: of type `TooLate`, `OtherChange` or `TooManyChanges`.
        """
        change = _with_id(change)
        return await self._once(change, self._cancel(change))

    async def update_address(self, change: AddressChange) -> ChangeResult:
        """Change the address, once.

        Raises:
            ApplicationError: of type `TooLate`, `OtherChange` or `TooManyChanges`.
        """
        change = _with_id(change)
        return await self._once(change, self._update_address(change))

    async def review(self, change: Review) -> ChangeResult:
        """Record a person's decision, once; it counts from when it is recorded.

        Raises:
            ApplicationError: of type `TooLate`, `OtherChange` or `TooManyChanges`.
        """
        named = _with_id(change)
        return await self._once(named, self._review(ReviewInput(self._order_id, change, named)))

    async def log_failure(self, change: Coroutine[Any, Any, Any]) -> None:
        """Await a change that has no caller; show its failure in the status and log it."""
        try:
            await change
        except FailureError as error:
            cause = error.cause or error
            self._progress.add_errors(f"change: {cause}")
            workflow.logger.info("change not applied", extra={"reason": str(cause)})

    def start(self, change: Coroutine[Any, Any, Any]) -> None:
        """Start a change that no handler waits for."""
        self._started.add(asyncio.create_task(self.log_failure(change)))

    async def note(self, event: Event) -> None:
        """Write an event that changes nothing."""
        await self._wait_for_row()
        note = NoteInput(self._order_id, event)
        limit = self._budget.note_left(workflow.now())
        await self._perform(OrderActivities.note, note, limit=limit, summary=f"event: {event.type}")

    async def refuse(self, event: Event) -> None:
        """Record a refused signal; after too many, record no more."""
        if self._tried >= policies.MOST_CHANGES and workflow.patched(STRICT):
            return
        self._tried += 1
        await self.log_failure(self.note(event))

    async def _once(
        self, change: Change, applying: Coroutine[Any, Any, ChangeResult]
    ) -> ChangeResult:
        key = _key(change)
        seen = self._seen.get(key)
        if seen is not None:
            applying.close()
            if seen[0] != change and workflow.patched(STRICT):
                raise _other_change()
            return await seen[1]
        if self._is_full(change) and workflow.patched(STRICT):
            applying.close()
            raise _too_many()
        self._tried += 1
        task = asyncio.create_task(applying)
        self._seen[key] = change, task
        try:
            return await task
        except ActivityError:
            # Postgres was unavailable and nothing is decided: a repeat is tried anew.
            del self._seen[key]
            raise

    def _is_full(self, change: Change) -> bool:
        most = policies.MOST_CHANGES
        return self._tried >= (2 * most if isinstance(change, Cancel) else most)

    async def _cancel(self, change: Cancel) -> ChangeResult:
        changed = await self._serialized(
            OrderActivities.cancel, CancelInput(self._order_id, change)
        )
        if not self.cancelled:
            self._progress.reason = change.reason or "cancelled"
        self._progress.state = OrderState.CANCELLED
        self.cancelled = True
        return ChangeResult(change.change_id or "", changed.state)

    async def _update_address(self, change: AddressChange) -> ChangeResult:
        changed = await self._serialized(
            OrderActivities.change_address, AddressInput(self._order_id, change)
        )
        self._progress.address = change.address
        return ChangeResult(change.change_id or "", changed.state)

    async def _review(self, step: ReviewInput) -> ChangeResult:
        self._reviewing += 1
        try:
            await workflow.wait_condition(lambda: self.reviewable or self.closed)
            limit = self._budget.forward_left(workflow.now())
            changed = await self._serialized(OrderActivities.review, step, limit=limit)
            self.decision = step.change
        finally:
            self._reviewing -= 1
        return ChangeResult(step.named.change_id or "", changed.state)

    async def _serialized(
        self,
        activity: Callable[[OrderActivities, A], Awaitable[ChangeOutcome]],
        argument: A,
        *,
        limit: timedelta = timedelta.max,
    ) -> ChangeOutcome:
        await self._wait_for_row()
        async with self._lock:
            changed = await self._perform(activity, argument, limit=limit)
        if not changed.applied:
            raise too_late(changed.reason)
        return changed

    async def _wait_for_row(self) -> None:
        await workflow.wait_condition(lambda: self._received or self.closed)

    async def _perform(
        self,
        activity: Callable[[OrderActivities, A], Awaitable[T]],
        argument: A,
        *,
        limit: timedelta = timedelta.max,
        summary: str = "",
    ) -> T:
        left = max(min(self._budget.closing_left(workflow.now()), limit), policies.SHORTEST_STEP)
        on_queue = OnQueue(summary=summary)
        return await run_activity(
            activity, argument, timeout=policies.SQL_STEP, left=left, on_queue=on_queue
        )


def too_late(reason: str) -> ApplicationError:
    """Return the failure of a change that comes too late."""
    return ApplicationError(reason, type=TOO_LATE, non_retryable=True)


def _too_many() -> ApplicationError:
    message = f"the order has had {policies.MOST_CHANGES} changes, and takes cancels only"
    return ApplicationError(message, type=TOO_MANY_CHANGES, non_retryable=True)


def _other_change() -> ApplicationError:
    message = "this id names another change of the order"
    return ApplicationError(message, type=OTHER_CHANGE, non_retryable=True)


def _key(change: Change) -> tuple[Any, ...]:
    return type(change), change.change_id, change.actor


def _with_id(change: C) -> C:
    if change.change_id:
        return change
    return msgspec.structs.replace(change, change_id=str(workflow.uuid4()))
