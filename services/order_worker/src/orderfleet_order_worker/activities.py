"""The activities of an order: one or two statements each, and the payment gateway between them."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from prometheus_client import CollectorRegistry
from temporalio import activity
from temporalio.exceptions import ApplicationError

from orderfleet.domain import events
from orderfleet.domain.contract import (
    ORDER_CLOSED,
    ORDER_CONFLICT,
    ORDER_UNKNOWN,
    PAYMENT_CONFLICT,
    PAYMENT_DECLINED,
    REVIEW_REJECTED,
    ChangeOutcome,
)
from orderfleet.domain.events import EventType
from orderfleet.domain.orders import Order, OrderState
from orderfleet.domain.payments import PaymentStatus
from orderfleet.domain.policies import GATEWAY_CALL_SECONDS, GATEWAY_LOOKUP_SECONDS
from orderfleet.gateways.protocols import Charge, ChargeStatus, GatewayRefusedError, PaymentGateway
from orderfleet.gateways.sanitized import SanitizedPaymentGateway
from orderfleet.store.changes import cancel_order, review_order, update_address
from orderfleet.store.payments import (
    AlreadyCharged,
    ChargeStart,
    OrderClosed,
    PaymentTaken,
    Rejected,
    begin_charge,
    record_payment_outcome,
)
from orderfleet.store.pool import Pool
from orderfleet.store.queries import find_record
from orderfleet.store.restore import restore_payment
from orderfleet.store.transitions import append_event, end_order, move, receive
from orderfleet.temporal.attempts import StepResult, attempt_of
from orderfleet_order_worker.activity_types import (
    KEPT,
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
from orderfleet_order_worker.metrics import MeasuredPaymentGateway, OrderWorkerMetrics

# Payload of the event for a payment whose row was lost, and is written again.
_LOST: Final = {"reason": "the record of the charge was lost"}


class OrderActivities:
    """The order worker's activities."""

    def __init__(
        self,
        pool: Pool,
        gateway: PaymentGateway,
        *,
        shipping_task_queue: str,
        metrics: OrderWorkerMetrics | None = None,
    ) -> None:
        self._pool = pool
        self._metrics = metrics or OrderWorkerMetrics(CollectorRegistry())
        self._gateway = MeasuredPaymentGateway(SanitizedPaymentGateway(gateway), self._metrics)
        self._shipping_task_queue = shipping_task_queue

    def all(self) -> list[Callable[..., Any]]:
        """Return the activities to register."""
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
        ]

    @activity.defn
    async def receive(self, step: ReceiveInput) -> ReceiveResult:
        """Write the order's row, unless the API has."""
        await self._write_row(step)
        return ReceiveResult(shipping_task_queue=self._shipping_task_queue)

    async def _write_row(self, step: ReceiveInput) -> None:
        by = {"actor": step.order.actor} if step.order.actor else {}
        if not await receive(self._pool, step.order_id, step.order, by):
            raise _permanent("another order has this id", ORDER_CONFLICT)

    @activity.defn
    async def validate(self, step: ReceiveInput) -> ValidateResult:
        """Check what the types cannot express, and open the review."""
        if problem := find_problem(step.order):
            return ValidateResult(problem=problem)
        validated = [events.done(EventType.VALIDATED, attempt_of(activity.info()))]
        transition = await move(self._pool, step.order_id, validated, to=OrderState.IN_REVIEW)
        if transition is None:
            # Postgres died before it had flushed the row.
            await self._write_row(step)
            transition = await move(self._pool, step.order_id, validated, to=OrderState.IN_REVIEW)
        if transition is None or not transition.applied:
            raise _closed(transition.state if transition else None)
        return ValidateResult()

    @activity.defn
    async def charge(self, step: ChargeInput) -> StepResult:
        """Charge once: the payment id is the gateway's key, and its row precedes the call."""
        match await begin_charge(
            self._pool, step.order_id, step.payment_id, step.review, _attempt()
        ):
            case ChargeStart(amount=amount, currency=currency):
                charge = Charge(step.payment_id, step.order_id, amount, currency)
                await self._capture(charge)
            case AlreadyCharged():
                pass
            case PaymentTaken():
                raise _permanent("payment id pays for another order", PAYMENT_CONFLICT)
            case Rejected(reason=reason):
                raise _permanent(reason, REVIEW_REJECTED)
            case OrderClosed(state=state):
                raise _closed(state)
            case None:
                raise _closed(None)
        return StepResult()

    async def _capture(self, charge: Charge) -> None:
        """Capture a payment whose row exists, and record the capture."""
        try:
            async with asyncio.timeout(GATEWAY_CALL_SECONDS):
                await self._gateway.charge(charge)
        except GatewayRefusedError as error:
            # The payment stays pending: an earlier attempt may still go through at the gateway, so
            # the refund closes the key.
            await append_event(self._pool, charge.order_id, events.declined(str(error)))
            raise _permanent(str(error), PAYMENT_DECLINED) from error
        except TimeoutError:
            raise TimeoutError("the payment gateway gave no answer") from None
        await record_payment_outcome(
            self._pool, charge.order_id, charge.key, PaymentStatus.CAPTURED, _attempt()
        )

    @activity.defn
    async def end(self, step: EndInput) -> EndResult:
        """Write the end state unless the order has one; return what there is to undo."""
        ended = await end_order(self._pool, step.order_id, step.state, step.reason, step.events)
        self._metrics.order_ended(ended)
        if ended is None:
            # Without a row nothing was charged; ReconcileOrders writes the row.
            return EndResult(step.state, recorded=False)
        payment = ended.payment
        lost = payment is None and step.charged and ended.state is not OrderState.FULFILLED
        if lost and await restore_payment(self._pool, step.order_id, _LOST):
            payment = PaymentStatus.PENDING
        return EndResult(
            ended.state,
            payment,
            recall=ended.dispatch_key is not None,
            shipping_task_queue=self._shipping_task_queue,
        )

    @activity.defn
    async def note(self, step: NoteInput) -> None:
        """Write an event that changes nothing else."""
        await append_event(self._pool, step.order_id, step.event)

    @activity.defn
    async def cancel(self, step: CancelInput) -> ChangeOutcome:
        """Cancel the order, unless it is too late."""
        count = self._metrics.order_ended
        return _existing(await cancel_order(self._pool, step.order_id, step.change, count))

    @activity.defn
    async def change_address(self, step: AddressInput) -> ChangeOutcome:
        """Change the address, unless it is too late."""
        return _existing(await update_address(self._pool, step.order_id, step.change))

    @activity.defn
    async def review(self, step: ReviewInput) -> ChangeOutcome:
        """Record a person's decision, unless the review is over."""
        return _existing(await review_order(self._pool, step.order_id, step.change, step.named))

    @activity.defn
    async def refund(self, step: RefundPaymentInput) -> str:
        """Undo the payment: void its key or refund the capture. Return the final status."""
        record = await find_record(self._pool, step.order_id)
        if step.charged and record is not None and not record.payments:
            await restore_payment(self._pool, step.order_id, _LOST)
            record = await find_record(self._pool, step.order_id)
        if record is None:
            return ChargeStatus.NONE
        if record.order.state is OrderState.FULFILLED:
            return KEPT
        payments = {payment.payment_id: payment for payment in record.payments}
        payment = payments.get(step.payment_id)
        if payment is None:
            return ChargeStatus.NONE
        if payment.status not in {PaymentStatus.PENDING, PaymentStatus.CAPTURED}:
            return payment.status
        charge = Charge(payment.payment_id, step.order_id, payment.amount, payment.currency)
        status = await self._undo_charge(charge)
        transition = await record_payment_outcome(
            self._pool, step.order_id, step.payment_id, PaymentStatus(status.value), _attempt()
        )
        if transition is None or not transition.applied:
            raise RuntimeError(f"the gateway says {status}, the payment's row disagrees")
        if transition.moved:
            self._metrics.payment_undone(status)
        return status

    async def _undo_charge(self, charge: Charge) -> ChargeStatus:
        """Void the payment's key at the gateway, or refund its capture."""
        async with asyncio.timeout(GATEWAY_LOOKUP_SECONDS):
            status = await self._gateway.lookup(charge.key)
        if status is ChargeStatus.NONE:
            async with asyncio.timeout(GATEWAY_LOOKUP_SECONDS):
                status = await self._gateway.void(charge)
        if status is ChargeStatus.CAPTURED:
            async with asyncio.timeout(GATEWAY_CALL_SECONDS):
                status = await self._gateway.refund(charge)
        if status not in {ChargeStatus.VOIDED, ChargeStatus.REFUNDED}:
            raise RuntimeError(f"the payment is {status} after its refund")
        return status


def find_problem(order: Order) -> str:
    """Return why validation rejects an order, or an empty string."""
    if not order.items:
        return "no items"
    if order.amount == "0.00":
        return "nothing to charge"
    return ""


def _attempt() -> dict[str, Any]:
    return {"attempt": attempt_of(activity.info())}


def _permanent(message: str, kind: str) -> ApplicationError:
    return ApplicationError(message, type=kind, non_retryable=True)


def _closed(state: OrderState | None) -> ApplicationError:
    return _permanent(f"order is {state or 'unknown'}", ORDER_CLOSED)


def _existing(outcome: ChangeOutcome | None) -> ChangeOutcome:
    if outcome is None:
        raise ApplicationError("the order has no row yet", type=ORDER_UNKNOWN)
    return outcome
