"""Changes to an order under way: each one is known by its id, applied once, one after another."""

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, FailureError

with workflow.unsafe.imports_passed_through():
    from orderfleet import policies
    from orderfleet.messages import TOO_LATE, AddressChange, Cancel, ChangeResult
    from orderfleet.orders import OrderState
    from orderfleet.policies import Budget
    from orderfleet.store.changes import Changed
    from orderfleet.store.steps import Event
    from orderfleet_order_worker.activities import (
        AddressInput,
        CancelInput,
        NoteInput,
        OrderActivities,
    )
    from orderfleet_order_worker.progress import Progress


class Changes:
    """Applies cancels and changes of address by the statement that competes with the dispatch."""

    def __init__(self, order_id: str, progress: Progress, budget: Budget) -> None:
        self.called_off = False
        self.closed = False
        self._order_id = order_id
        self._progress = progress
        self._budget = budget
        self._received = False
        self._known: dict[tuple[type, str | None], asyncio.Task[ChangeResult]] = {}
        self._spawned: set[asyncio.Task[None]] = set()
        # Two changes of address in flight would come out in either order.
        self._turn = asyncio.Lock()

    @property
    def pending(self) -> bool:
        """Tell whether a change that no handler waits for is still under way."""
        return any(not task.done() for task in self._spawned)

    def open(self) -> None:
        """From now on the order has a row to change."""
        self._received = True

    def close(self) -> None:
        """The order has its end; what comes now is recorded as too late."""
        self.closed = True

    def knows(self, change: Cancel | AddressChange) -> bool:
        """Tell whether this change has come before."""
        return (type(change), change.change_id) in self._known

    async def cancel(self, change: Cancel) -> ChangeResult:
        """Cancel the order, once.

        Raises:
            ApplicationError: of type `TooLate`.
        """
        change_id = change.change_id or str(workflow.uuid4())
        given = Cancel(change_id=change_id, reason=change.reason, actor=change.actor)
        return await self._once(given, self._cancel(given, change_id))

    async def update_address(self, change: AddressChange) -> ChangeResult:
        """Change the address, once.

        Raises:
            ApplicationError: of type `TooLate`.
        """
        change_id = change.change_id or str(workflow.uuid4())
        given = AddressChange(change.address, change_id=change_id, actor=change.actor)
        return await self._once(given, self._update_address(given, change_id))

    async def quietly(self, change: Coroutine[Any, Any, Any]) -> None:
        """Await what has no caller to answer to: a failure shows in the status, no more."""
        try:
            await change
        except FailureError as error:
            cause = error.cause or error
            self._progress.errors.append(f"change: {cause}")
            workflow.logger.info("change not applied", extra={"reason": str(cause)})

    def spawn(self, change: Coroutine[Any, Any, Any]) -> None:
        """Begin a change that no handler waits for."""
        self._spawned.add(asyncio.create_task(self.quietly(change)))

    async def note(self, event: Event) -> None:
        """Write an event that changes nothing."""
        await self._row()
        note = NoteInput(self._order_id, event)
        await self._perform(OrderActivities.note, note, most=policies.NOTE_LIMIT)

    async def _once(
        self, given: Cancel | AddressChange, change: Coroutine[Any, Any, ChangeResult]
    ) -> ChangeResult:
        # The same id may name a cancel and a change of address: they are two changes.
        key = (type(given), given.change_id)
        known = self._known.get(key)
        if known is not None:
            change.close()
            return await known
        task = self._known[key] = asyncio.create_task(change)
        try:
            return await task
        except ActivityError:
            # Postgres was away: nothing was decided, a repeat is a new try.
            del self._known[key]
            raise

    async def _cancel(self, change: Cancel, change_id: str) -> ChangeResult:
        changed = await self._in_turn(OrderActivities.cancel, CancelInput(self._order_id, change))
        if not self.called_off:
            self._progress.reason = change.reason or "cancelled"
        self._progress.state = OrderState.CANCELLED
        self.called_off = True
        return ChangeResult(change_id, changed.state)

    async def _update_address(self, change: AddressChange, change_id: str) -> ChangeResult:
        changed = await self._in_turn(
            OrderActivities.change_address, AddressInput(self._order_id, change)
        )
        self._progress.address = change.address
        return ChangeResult(change_id, changed.state)

    async def _in_turn(self, statement: Any, argument: Any) -> Changed:
        await self._row()
        async with self._turn:
            changed: Changed = await self._perform(statement, argument)
        if not changed.applied:
            raise too_late(changed.reason)
        return changed

    async def _row(self) -> None:
        await workflow.wait_condition(lambda: self._received or self.closed)

    async def _perform(
        self, activity: Any, argument: Any, *, most: timedelta = timedelta.max
    ) -> Any:
        left = min(self._budget.closing_left(workflow.now()), most)
        return await workflow.execute_activity_method(
            activity,
            argument,
            start_to_close_timeout=min(policies.SQL_STEP, left),
            schedule_to_close_timeout=left,
            heartbeat_timeout=policies.HEARTBEAT_TIMEOUT,
            retry_policy=policies.STEP_RETRY,
        )


def too_late(reason: str) -> ApplicationError:
    """Return the failure of a change that nothing can be done about any more."""
    return ApplicationError(reason, type=TOO_LATE, non_retryable=True)
