"""The activities of shipping: prepare a package, dispatch it, recall it."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from prometheus_client import CollectorRegistry
from temporalio import activity
from temporalio.exceptions import ApplicationError

from orderfleet.domain.contract import (
    CARRIER_REFUSED,
    ORDER_CLOSED,
    RECALL_ACTIVITY,
    RecallInput,
    ShippingInput,
    carrier_key,
)
from orderfleet.domain.events import EventType, done, fulfilled, recalled
from orderfleet.domain.orders import OrderState
from orderfleet.domain.policies import GATEWAY_CALL_SECONDS, GATEWAY_LOOKUP_SECONDS
from orderfleet.domain.text import printable
from orderfleet.gateways.protocols import Carrier, GatewayRefusedError, Shipment
from orderfleet.gateways.sanitized import SanitizedCarrier
from orderfleet.observability.worker_metrics import WorkerMetrics
from orderfleet.store.dispatch import (
    Claim,
    ClaimRefused,
    claim_dispatch,
    dispatch_of,
    release_dispatch,
)
from orderfleet.store.pool import Pool
from orderfleet.store.restore import keep_fulfilled
from orderfleet.store.transitions import Transition, append_event, move
from orderfleet.temporal.attempts import StepResult, attempt_of

_NOT_CALLED_BACK: Final = "the carrier cannot call it back"


class DispatchResult(StepResult, frozen=True, kw_only=True):
    """Result of `dispatch`."""

    tracking: str


class ShippingActivities:
    """The shipping worker's activities."""

    def __init__(self, pool: Pool, carrier: Carrier, metrics: WorkerMetrics | None = None) -> None:
        self._pool = pool
        self._carrier = SanitizedCarrier(carrier)
        self._metrics = metrics or WorkerMetrics(CollectorRegistry())

    def all(self) -> list[Callable[..., Any]]:
        """Return the activities to register."""
        return [self.prepare, self.dispatch, self.recall]

    @activity.defn
    async def prepare(self, step: ShippingInput) -> StepResult:
        """Prepare the package: the order enters `shipping`."""
        event = done(EventType.PREPARED, attempt_of(activity.info()))
        transition = await move(self._pool, step.order_id, [event], to=OrderState.SHIPPING)
        if transition is None or not transition.applied or transition.state.ended:
            raise _closed(transition)
        return StepResult()

    @activity.defn
    async def dispatch(self, step: ShippingInput) -> DispatchResult:
        """Hand the package over once: claim the order's row, call the carrier, record the end.

        The outcome of a claim that is taken over is unknown: look the package up first, and after
        a refusal recall it, before the claim is released.
        """
        attempt = activity.info().attempt
        key = carrier_key(step.order_id, step.attempt)
        claim = f"{step.attempt}.{attempt}"
        payload = {"shipping_attempt": step.attempt, "attempt": attempt}
        claimed = await claim_dispatch(self._pool, step.order_id, key, claim, payload)
        if not isinstance(claimed, Claim):
            return _dispatched_before(claimed)
        shipment = Shipment(claimed.key, step.order_id, claimed.address)
        taken_over = claimed.taken_over
        tracking = await self._lookup(shipment) if taken_over else None
        if tracking is None:
            try:
                async with asyncio.timeout(GATEWAY_CALL_SECONDS):
                    tracking = await self._carrier.dispatch(shipment)
            except GatewayRefusedError as error:
                if taken_over and await self._recall(shipment):
                    # The carrier took the package between look-up and refusal; it returns now.
                    await append_event(self._pool, step.order_id, recalled(shipment.key))
                await release_dispatch(self._pool, step.order_id, claim, step.attempt, str(error))
                raise ApplicationError(
                    str(error), type=CARRIER_REFUSED, non_retryable=True
                ) from error
            except TimeoutError:
                raise TimeoutError("the carrier gave no answer") from None
        retried = step.retried or step.attempt > 1 or attempt > 1
        return await self._fulfil(shipment, tracking, retried=retried)

    @activity.defn(name=RECALL_ACTIVITY)
    async def recall(self, undo: RecallInput) -> bool:
        """Recall the packages of an ended order, or close their keys, so that none is taken later.

        A package that the carrier has and cannot recall is delivered: the order becomes fulfilled,
        whatever its row said, and the payment is kept.
        """
        dispatched = await dispatch_of(self._pool, undo.order_id)
        if dispatched is None:
            return False
        any_called_back, delivered = False, ""
        for key in sorted({*undo.keys, *([dispatched.key] if dispatched.key else [])}):
            shipment = Shipment(key, undo.order_id, dispatched.address)
            if undo.keep_taken and (kept := await self._lookup(shipment)):
                delivered = printable(kept)
                continue
            try:
                called_back = await self._recall(shipment)
            except GatewayRefusedError:
                tracking = await self._lookup(shipment)
                if tracking is None and key == dispatched.key:
                    # A hand-over may still be under way: retry until the key is closed.
                    raise
                delivered = printable(tracking or delivered)
                continue
            any_called_back |= called_back
            if called_back or key == dispatched.key:
                await append_event(
                    self._pool, undo.order_id, recalled(key, called_back=called_back)
                )
        if delivered:
            reason = "found at the carrier after a restore" if undo.keep_taken else _NOT_CALLED_BACK
            payload = {"tracking": delivered, "reason": reason}
            await keep_fulfilled(self._pool, undo.order_id, payload)
        return any_called_back

    async def _fulfil(self, shipment: Shipment, tracking: str, *, retried: bool) -> DispatchResult:
        transition = await move(
            self._pool,
            shipment.order_id,
            [fulfilled(tracking)],
            to=OrderState.FULFILLED,
            dispatch_key=shipment.key,
        )
        self._metrics.order_ended(transition, retried=retried)
        if transition is None or transition.state is not OrderState.FULFILLED:
            # The order ended during the carrier's call: its refund recalls the package first. Or a
            # later attempt recalled this package and ships another.
            raise _closed(transition)
        return DispatchResult(tracking=tracking)

    async def _lookup(self, shipment: Shipment) -> str | None:
        async with asyncio.timeout(GATEWAY_LOOKUP_SECONDS):
            return await self._carrier.lookup(shipment)

    async def _recall(self, shipment: Shipment) -> bool:
        async with asyncio.timeout(GATEWAY_LOOKUP_SECONDS):
            return await self._carrier.recall(shipment)


def _dispatched_before(refused: ClaimRefused | None) -> DispatchResult:
    """Return the result again, of an attempt whose result did not reach Temporal."""
    if refused is not None and refused.state is OrderState.FULFILLED:
        return DispatchResult(tracking="")
    raise _closed(refused)


def _closed(order: Transition | ClaimRefused | None) -> ApplicationError:
    state = "unknown" if order is None else order.state
    return ApplicationError(f"order is {state}", type=ORDER_CLOSED, non_retryable=True)
