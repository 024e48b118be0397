"""What others may say to an order and ask of it: its signals, updates and query."""

from datetime import UTC, datetime, timedelta
from typing import TypeVar

import msgspec
from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from orderfleet import messages
    from orderfleet.messages import (
        AddressChange,
        Cancel,
        ChangeResult,
        DispatchFailed,
        OrderInput,
        Review,
        Status,
    )
    from orderfleet.policies import Budget
    from orderfleet.store.dispatch import dispatch_failed
    from orderfleet.store.steps import Event
    from orderfleet_order_worker.changes import Changes, too_late
    from orderfleet_order_worker.progress import Progress

T = TypeVar("T")

# A signal or update sent without any input.
_NOTHING = RawValue(Payload())
_NO_REASON = Cancel()


class OrderHandlers:
    """The messages of `OrderWorkflow`, and the state that they change."""

    def __init__(self, order: OrderInput) -> None:
        info = workflow.info()
        total = timedelta(seconds=order.deadline_seconds)
        self._id = info.workflow_id
        self._order = order
        self._budget = Budget(info.workflow_start_time, min(total, info.execution_timeout or total))
        self._progress = Progress(self._id, order.address, self._budget)
        self._changes = Changes(self._id, self._progress, self._budget)
        self._decision: Review | None = None

    @workflow.query(name=messages.STATUS_QUERY)
    def status(self) -> Status:
        """Return the live view of the order."""
        # workflow.now() stands still between tasks. A query leaves no history, so the clock on
        # the wall harms no replay.
        with workflow.unsafe.sandbox_unrestricted():
            return self._progress.status(datetime.now(UTC))

    @workflow.signal(name=messages.CANCEL_SIGNAL)
    async def cancel_order(self, change: RawValue = _NOTHING) -> None:
        """Cancel; by any Temporal client, with no input or that of the update `cancel`."""
        if (given := await self._decoded(change, Cancel, "cancel_refused")) is not None:
            await self._changes.quietly(self._changes.cancel(given))

    @workflow.signal(name=messages.ADDRESS_SIGNAL)
    async def change_address(self, change: RawValue = _NOTHING) -> None:
        """Change the address; by any Temporal client."""
        given = await self._decoded(change, AddressChange, "address_update_refused")
        if given is not None:
            await self._changes.quietly(self._changes.update_address(given))

    @workflow.signal(name=messages.DISPATCH_FAILED_SIGNAL)
    async def dispatch_failed(self, failed: DispatchFailed) -> None:
        """Hear from a child that its shipping attempt failed."""
        await self._on_dispatch_failed(failed)

    @workflow.update(name=messages.CANCEL_UPDATE)
    async def cancel(self, change: Cancel = _NO_REASON) -> ChangeResult:
        """Cancel, acknowledged."""
        return await self._changes.cancel(change)

    @cancel.validator
    def _check_cancel(self, change: Cancel = _NO_REASON) -> None:
        self._check_open(change)

    @workflow.update(name=messages.ADDRESS_UPDATE)
    async def update_address(self, change: AddressChange) -> ChangeResult:
        """Change the address, acknowledged."""
        return await self._changes.update_address(change)

    @update_address.validator
    def _check_address(self, change: AddressChange) -> None:
        self._check_open(change)

    @workflow.update(name=messages.REVIEW_UPDATE)
    async def review(self, review: Review) -> ChangeResult:
        """Decide the review before its timer does."""
        if self._decision is None:
            self._decision = review
        return ChangeResult(review.change_id or "", self._progress.state)

    @review.validator
    def _check_review(self, review: Review) -> None:
        decided = self._decision
        repeated = review.change_id and decided and review.change_id == decided.change_id
        if not repeated and (decided is not None or self._changes.closed):
            raise too_late("the review is over")

    def _check_open(self, change: Cancel | AddressChange) -> None:
        if self._changes.closed and not self._changes.knows(change):
            raise too_late(f"order is {self._progress.state}")

    async def _decoded(self, raw: RawValue, wanted: type[T], refused: str) -> T | None:
        """Decode a signal's input; a malformed one is recorded, as a signal has no answer."""
        try:
            if not raw.payload.data:
                return msgspec.convert({}, wanted)
            return workflow.payload_converter().from_payload(raw.payload, wanted)
        except (ApplicationError, msgspec.ValidationError) as error:
            event = Event(refused, str(workflow.uuid4()), {"reason": str(error)})
            await self._changes.quietly(self._changes.note(event))
            return None

    async def _on_dispatch_failed(self, failed: DispatchFailed) -> None:
        if self._progress.dispatch_failed(failed):
            event = dispatch_failed(failed.attempt, failed.reason)
            await self._changes.quietly(self._changes.note(event))

    def _reviewed(self) -> Event:
        decision = self._decision
        if decision is None:
            raise ValueError("not reviewed yet")
        by = {"by": decision.reviewer, "reason": decision.reason, "actor": decision.actor}
        given = {name: value for name, value in by.items() if value}
        return Event("reviewed", "reviewed", {"approved": decision.approved, **given})
