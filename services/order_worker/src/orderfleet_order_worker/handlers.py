"""The signals, updates and query of an order's workflow.

Handlers take any number of values of any encoding: the SDK's own errors about a wrong number of
arguments, or about bytes in place of an object, fail the workflow's tasks again and again.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import msgspec
from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from orderfleet.domain import contract
    from orderfleet.domain.contract import (
        AddressChange,
        Cancel,
        ChangeResult,
        DispatchFailed,
        OrderInput,
        Review,
        Status,
    )
    from orderfleet.domain.deadline import Budget
    from orderfleet.domain.events import Event, EventType, dispatch_failed, reviewed
    from orderfleet.domain.text import check_texts, printable
    from orderfleet.temporal.converter import invalid
    from orderfleet.temporal.inputs import input_of
    from orderfleet_order_worker.change_handling import STRICT, Changes, too_late
    from orderfleet_order_worker.progress import Progress

T = TypeVar("T", bound=msgspec.Struct)

REVIEW_ON_RECORD = "review-on-record"


class OrderHandlers:
    """The messages of `OrderWorkflow`, and the state that they change."""

    def __init__(self, order: OrderInput) -> None:
        info = workflow.info()
        total = timedelta(seconds=order.deadline_seconds)
        self._id = info.workflow_id
        self._order = order
        # A client that starts an order by hand may set either.
        limits = (total, info.execution_timeout or total, info.run_timeout or total)
        self._budget = Budget(info.workflow_start_time, min(limits))
        self._progress = Progress(self._id, order.address, self._budget)
        self._changes = Changes(self._id, self._progress, self._budget)

    @workflow.query(name=contract.STATUS_QUERY)
    def status(self) -> Status:
        """Return the live view of the order."""
        # workflow.now() stands still between tasks. A query is not in the history, so reading the
        # wall clock breaks no replay.
        with workflow.unsafe.sandbox_unrestricted():
            return self._progress.status(datetime.now(UTC))

    @workflow.signal(name=contract.CANCEL_SIGNAL)
    async def cancel_order(self, *arguments: Any) -> None:
        """Cancel; by any Temporal client, with no input or that of the update `cancel`."""
        change = await self._read_signal(arguments, Cancel, EventType.CANCEL_REFUSED)
        if change is not None:
            await self._changes.log_failure(self._changes.cancel(change))

    @workflow.signal(name=contract.ADDRESS_SIGNAL)
    async def change_address(self, *arguments: Any) -> None:
        """Change the address; by any Temporal client."""
        change = await self._read_signal(arguments, AddressChange, EventType.ADDRESS_UPDATE_REFUSED)
        if change is not None:
            await self._changes.log_failure(self._changes.update_address(change))

    @workflow.signal(name=contract.DISPATCH_FAILED_SIGNAL)
    async def dispatch_failed(self, *arguments: Any) -> None:
        """Record that a child's shipping attempt failed."""
        failed = await self._read_signal(
            arguments, DispatchFailed, EventType.DISPATCH_FAILED_REFUSED
        )
        if failed is not None:
            await self._on_dispatch_failed(failed)

    @workflow.update(name=contract.CANCEL_UPDATE)
    async def cancel(self, *arguments: Any) -> ChangeResult:
        """Cancel; the answer says whether it took effect."""
        return await self._changes.cancel(input_of(arguments, Cancel))

    @cancel.validator
    def _check_cancel(self, *arguments: Any) -> None:
        self._changes.check(_check_input(arguments, Cancel))

    @workflow.update(name=contract.ADDRESS_UPDATE)
    async def update_address(self, *arguments: Any) -> ChangeResult:
        """Change the address; the answer says whether it took effect."""
        return await self._changes.update_address(input_of(arguments, AddressChange))

    @update_address.validator
    def _check_address(self, *arguments: Any) -> None:
        self._changes.check(_check_input(arguments, AddressChange))

    @workflow.update(name=contract.REVIEW_UPDATE)
    async def review(self, *arguments: Any) -> ChangeResult:
        """Decide the review before its timer does."""
        review = input_of(arguments, Review)
        if workflow.patched(REVIEW_ON_RECORD):
            return await self._changes.review(review)
        if self._changes.decision is None:
            self._changes.decision = review
        return ChangeResult(review.change_id or "", self._progress.state)

    @review.validator
    def _check_review(self, *arguments: Any) -> None:
        review = _check_input(arguments, Review)
        self._changes.check(review)
        if self._changes.decision is not None and not self._changes.has_seen(review):
            raise too_late("the review is over")

    async def _read_signal(
        self, arguments: tuple[Any, ...], type_: type[T], refused: EventType
    ) -> T | None:
        """Return a signal's input; a malformed one is recorded, as a signal has no answer."""
        try:
            signal = input_of(arguments, type_)
        except ApplicationError as error:
            # Workflows of older releases dropped a malformed DispatchFailed silently.
            if type_ is not DispatchFailed or workflow.patched(STRICT):
                await self._refuse(refused, error)
            return None
        try:
            self._check_signal(signal)
        except ValueError as error:
            if workflow.patched(STRICT):
                await self._refuse(refused, error)
                return None
        return signal

    def _check_signal(self, signal: msgspec.Struct) -> None:
        check_texts(signal)
        attempts = self._progress.shipping_attempts
        if isinstance(signal, DispatchFailed) and signal.attempt > attempts:
            raise ValueError(f"there is no shipping attempt {signal.attempt} yet")

    async def _refuse(self, refused: EventType, error: Exception) -> None:
        event = Event(refused, str(workflow.uuid4()), {"reason": printable(str(error))})
        await self._changes.refuse(event)

    async def _on_dispatch_failed(self, failed: DispatchFailed) -> None:
        event = self._dispatch_failure(failed)
        if event is not None:
            await self._changes.log_failure(self._changes.note(event))

    def _dispatch_failure(self, failed: DispatchFailed) -> Event | None:
        """Record a failed shipping attempt; return its event unless it was recorded before."""
        if not self._progress.dispatch_failed(failed):
            return None
        return dispatch_failed(failed.attempt, failed.reason)

    def _reviewed(self) -> Event:
        if self._changes.decision is None:
            raise ValueError("not reviewed yet")
        return reviewed(self._changes.decision)


def _check_input(arguments: tuple[Any, ...], type_: type[T]) -> T:
    """Return an update's input, checked as today: a validator is not replayed."""
    change = input_of(arguments, type_)
    try:
        check_texts(change)
    except ValueError as error:
        raise invalid(error) from None
    return change
