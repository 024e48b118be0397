"""The activities of both workers over the model, each under its real name and with its types."""

from collections.abc import Callable
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError

from orderfleet.domain.contract import (
    CARRIER_REFUSED,
    ORDER_CONFLICT,
    PAYMENT_CONFLICT,
    RECALL_ACTIVITY,
    REVIEW_REJECTED,
    SHIPPING_TASK_QUEUE,
    Change,
    ChangeOutcome,
    RecallInput,
    ShippingInput,
)
from orderfleet.domain.events import (
    Event,
    EventType,
    applied,
    change_key,
    change_type,
    dispatch_failed,
    ended,
    fulfilled,
    recalled,
    refused,
    reviewed,
    too_late,
)
from orderfleet.domain.orders import ADDRESS_OPEN_STATES, OrderState
from orderfleet.domain.payments import PaymentStatus
from orderfleet.gateways.protocols import ChargeStatus
from orderfleet.store.transitions import Transition
from orderfleet.temporal.attempts import StepResult
from orderfleet_order_worker.activities import find_problem
from orderfleet_order_worker.activity_types import (
    AddressInput,
    CancelInput,
    ChargeInput,
    EndInput,
    EndResult,
    NoteInput,
    ReceiveInput,
    ReceiveResult,
    RefundPaymentInput,
    ReviewInput,
    ValidateResult,
)
from orderfleet_order_worker.reconciliation.activities import Traces
from orderfleet_shipping_worker.activities import DispatchResult
from tests.workflow.world import Row, World, closed, permanent


class OrderScript:
    """The order worker's activities."""

    def __init__(self, world: World) -> None:
        self._world = world

    def all(self) -> list[Callable[..., Any]]:
        return [
            self.receive,
            self.validate,
            self.charge,
            self.end,
            self.note,
            self.cancel,
            self.change_address,
            self.review,
            self.refund,
            self.trace,
        ]

    @activity.defn
    async def receive(self, step: ReceiveInput) -> ReceiveResult:
        async def work() -> ReceiveResult:
            order = step.order
            row = self._world.rows.setdefault(
                step.order_id,
                Row(order, OrderState.RECEIVED, order.address, events=[_event("received")]),
            )
            if row.order.fingerprint != order.fingerprint:
                raise permanent("another order has this id", ORDER_CONFLICT)
            return ReceiveResult(shipping_task_queue=SHIPPING_TASK_QUEUE)

        result: ReceiveResult = await self._world.act(step.order_id, "receive", work)
        return result

    @activity.defn
    async def validate(self, step: ReceiveInput) -> ValidateResult:
        async def work() -> ValidateResult:
            if problem := find_problem(step.order):
                return ValidateResult(problem=problem)
            moved = self._world.move(step.order_id, _event("validated"), to=OrderState.IN_REVIEW)
            if moved is None or not moved.applied:
                raise closed(moved)
            return ValidateResult()

        result: ValidateResult = await self._world.act(step.order_id, "validate", work)
        return result

    @activity.defn
    async def charge(self, step: ChargeInput) -> StepResult:
        async def work() -> StepResult:
            row = self._world.rows[step.order_id]
            if self._world.payers.get(step.payment_id, step.order_id) != step.order_id:
                raise permanent("payment id pays for another order", PAYMENT_CONFLICT)
            in_review = frozenset({OrderState.IN_REVIEW})
            review = Event(EventType.REVIEWED, "reviewed", step.review)
            self._world.move(step.order_id, review, before=in_review)
            recorded = row.event("reviewed") if row.state is OrderState.IN_REVIEW else review
            if not recorded.payload["approved"]:
                raise permanent(recorded.payload.get("reason", "not approved"), REVIEW_REJECTED)
            if row.state is OrderState.IN_REVIEW:
                self._world.move(step.order_id, _event("charging"), to=OrderState.CHARGING)
                self._world.payers[step.payment_id] = step.order_id
                row.payment = PaymentStatus.PENDING
            if row.state is OrderState.CHARGED:
                return StepResult()
            if row.state is not OrderState.CHARGING:
                raise closed(self._world.move(step.order_id, _event("charging")))
            await self._world.act(
                step.order_id, "gateway", lambda: self._world.capture(step.payment_id)
            )
            if row.payment is PaymentStatus.PENDING:
                row.payment = PaymentStatus.CAPTURED
                self._world.move(step.order_id, _event("charged"), to=OrderState.CHARGED)
            return StepResult()

        result: StepResult = await self._world.act(step.order_id, "charge", work)
        return result

    @activity.defn
    async def end(self, step: EndInput) -> EndResult:
        async def work() -> EndResult:
            row = self._world.rows.get(step.order_id)
            if row is None:
                return EndResult(step.state, recorded=False)
            for event in step.events:
                self._world.move(step.order_id, event)
            end = ended(step.state, step.reason)
            self._world.move(step.order_id, end, to=step.state)
            if not row.state.ended:
                raise ValueError(f"no edge leads from {row.state} to {step.state}")
            unknown = row.dispatch_key if row.state is not OrderState.FULFILLED else None
            return EndResult(row.state, row.payment, recall=unknown is not None)

        result: EndResult = await self._world.act(step.order_id, "end", work)
        return result

    @activity.defn
    async def note(self, step: NoteInput) -> None:
        async def work() -> None:
            self._world.move(step.order_id, step.event)

        await self._world.act(step.order_id, "note", work)

    @activity.defn
    async def cancel(self, step: CancelInput) -> ChangeOutcome:
        async def work() -> ChangeOutcome:
            event = applied(step.change)
            moved = self._world.move(step.order_id, event, to=OrderState.CANCELLED)
            if moved is not None and not moved.applied and moved.state is OrderState.CANCELLED:
                return ChangeOutcome(applied=True, state=moved.state)
            return self._changed(step.order_id, step.change, moved)

        result: ChangeOutcome = await self._world.act(step.order_id, "cancel", work)
        return result

    @activity.defn
    async def change_address(self, step: AddressInput) -> ChangeOutcome:
        async def work() -> ChangeOutcome:
            event = applied(step.change)
            moved = self._world.move(step.order_id, event, before=ADDRESS_OPEN_STATES)
            if moved is not None and moved.moved:
                self._world.rows[step.order_id].address = step.change.address
            return self._changed(step.order_id, step.change, moved)

        result: ChangeOutcome = await self._world.act(step.order_id, "change_address", work)
        return result

    @activity.defn
    async def review(self, step: ReviewInput) -> ChangeOutcome:
        async def work() -> ChangeOutcome:
            event = reviewed(step.change)
            before = frozenset({OrderState.IN_REVIEW})
            moved = self._world.move(step.order_id, event, before=before)
            if moved is not None and moved.repeated:
                recorded = self._world.rows[step.order_id].event("reviewed")
                if recorded.payload == event.payload:
                    return ChangeOutcome(applied=True, state=moved.state)
            if moved is not None and moved.moved:
                return ChangeOutcome(applied=True, state=moved.state)
            state = self._world.rows[step.order_id].state
            reason = too_late(state, step.named)
            self._world.move(step.order_id, refused(step.named, reason))
            return ChangeOutcome(applied=False, state=state, reason=reason)

        result: ChangeOutcome = await self._world.act(step.order_id, "review", work)
        return result

    def _changed(self, order_id: str, change: Change, moved: Transition | None) -> ChangeOutcome:
        if moved is None:
            raise ApplicationError("the order has no row yet", type="OrderUnknown")
        reason = too_late(moved.state)
        if not moved.moved:
            self._world.move(order_id, refused(change, reason))
        recorded = self._world.rows[order_id].event(change_key(change))
        stands = recorded.type == change_type(change)
        return ChangeOutcome(stands, moved.state, "" if stands else reason)

    @activity.defn
    async def refund(self, step: RefundPaymentInput) -> str:
        async def work() -> str:
            row = self._world.rows[step.order_id]
            if row.payment is None:
                return ChargeStatus.NONE
            status = self._world.ledger.get(step.payment_id)
            captured = status in {ChargeStatus.CAPTURED, ChargeStatus.REFUNDED}
            self._world.ledger[step.payment_id] = (
                ChargeStatus.REFUNDED if captured else ChargeStatus.VOIDED
            )
            row.payment = PaymentStatus(self._world.ledger[step.payment_id].value)
            self._world.move(step.order_id, _event(row.payment))
            return row.payment

        result: str = await self._world.act(step.order_id, "refund", work)
        return result

    @activity.defn
    async def trace(self, order_id: str) -> Traces:
        async def work() -> Traces:
            return self._world.traces.get(order_id, Traces(charged=False, keys=[]))

        result: Traces = await self._world.act(order_id, "trace", work)
        return result


class ShippingScript:
    """The shipping worker's activities."""

    def __init__(self, world: World) -> None:
        self._world = world

    def all(self) -> list[Callable[..., Any]]:
        return [self.prepare, self.dispatch, self.recall]

    @activity.defn
    async def prepare(self, step: ShippingInput) -> StepResult:
        async def work() -> StepResult:
            moved = self._world.move(step.order_id, _event("prepared"), to=OrderState.SHIPPING)
            if moved is None or not moved.applied or moved.state.ended:
                raise closed(moved)
            return StepResult()

        result: StepResult = await self._world.act(step.order_id, "prepare", work)
        return result

    @activity.defn
    async def dispatch(self, step: ShippingInput) -> DispatchResult:
        async def work() -> DispatchResult:
            claim = f"{step.attempt}.{activity.info().attempt}"
            if self._world.rows[step.order_id].state is OrderState.FULFILLED:
                return DispatchResult(tracking="")
            self._world.claim(step.order_id, f"{step.order_id}/{step.attempt}", claim)
            row = self._world.rows[step.order_id]
            key = row.dispatch_key or ""
            try:
                await self._world.act(
                    step.order_id, "carrier", lambda: self._world.take(key, row.address)
                )
            except ApplicationError as error:
                if error.type == CARRIER_REFUSED and row.dispatch_claim == claim:
                    row.dispatch_key = row.dispatch_claim = None
                    event = dispatch_failed(step.attempt, error.message)
                    self._world.move(step.order_id, event, to=OrderState.SHIPPING)
                raise
            moved = self._world.move(
                step.order_id, fulfilled(f"track-{key}"), to=OrderState.FULFILLED
            )
            if moved is None or moved.state is not OrderState.FULFILLED:
                raise closed(moved)
            return DispatchResult(tracking=f"track-{key}")

        result: DispatchResult = await self._world.act(step.order_id, "dispatch", work)
        return result

    @activity.defn(name=RECALL_ACTIVITY)
    async def recall(self, undo: RecallInput) -> bool:
        async def work() -> bool:
            own = self._world.rows[undo.order_id].dispatch_key
            any_taken = False
            for key in sorted({*undo.keys, *([own] if own else [])}):
                taken = self._world.packages.get(key, "voided") != "voided"
                self._world.packages[key] = "recalled" if taken else "voided"
                self._world.move(undo.order_id, recalled(key, called_back=taken))
                any_taken |= taken
            return any_taken

        result: bool = await self._world.act(undo.order_id, "recall", work)
        return result


def _event(name: str) -> Event:
    return Event(EventType(name), name)
