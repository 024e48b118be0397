"""Metrics of the order worker alone: payments, refunds, reconciliation."""

import asyncio
from collections.abc import Awaitable
from datetime import datetime
from enum import StrEnum
from typing import Final, TypeVar

from prometheus_client import CollectorRegistry, Counter

from orderfleet.gateways.protocols import (
    Charge,
    ChargeLister,
    ChargePage,
    ChargeStatus,
    GatewayRefusedError,
    PaymentGateway,
)
from orderfleet.observability.worker_metrics import ENDS, WorkerMetrics
from orderfleet.store.transitions import Transition

T = TypeVar("T")

_REFUSED: Final = "refused"
# An error or no answer: the gateway may have done it.
_UNKNOWN: Final = "unknown"
_UNDONE: Final = (ChargeStatus.REFUNDED, ChargeStatus.VOIDED)
_RUNS: Final = {True: "completed", False: "failed"}
_USUAL: Final = {
    "charge": (ChargeStatus.CAPTURED, _REFUSED, _UNKNOWN),
    "lookup": (*ChargeStatus, _UNKNOWN),
    "void": (ChargeStatus.VOIDED, _UNKNOWN),
    "refund": (ChargeStatus.REFUNDED, _UNKNOWN),
}


class Phase(StrEnum):
    """The phases of a run of ReconcileOrders."""

    REFUNDS = "refunds"
    OPEN = "open"
    ROWLESS = "rowless"
    REQUESTS = "requests"
    RESTORED = "restored"
    FORGET = "forget"


class OrderWorkerMetrics(WorkerMetrics):
    """Payments, refunds and reconciled orders, beside what all workers count."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)
        self._payments = Counter(
            "orderfleet_payments_total",
            "Calls of the payment gateway; replayed: it had done this one before.",
            ["operation", "result", "replayed"],
            registry=registry,
        )
        self._refunds = Counter(
            "orderfleet_refunds_total",
            "Payments undone, each once: refunded, or voided before the capture.",
            ["result"],
            registry=registry,
        )
        self._reconciled = Counter(
            "orderfleet_reconciled_orders_total",
            "Orders that ReconcileOrders had to end.",
            ["state"],
            registry=registry,
        )
        self._reconciliation_runs = Counter(
            "orderfleet_reconciliation_runs_total",
            "Runs of ReconcileOrders: completed, or failed if anything in them did.",
            ["outcome"],
            registry=registry,
        )
        self._reconciliation_failures = Counter(
            "orderfleet_reconciliation_failures_total",
            "Orders that a run of ReconcileOrders failed on, and phases that failed as a whole.",
            ["phase"],
            registry=registry,
        )
        # Create the series at 0: `increase()` misses the first increment of a new series.
        for outcome in _RUNS.values():
            self._reconciliation_runs.labels(outcome)
        for phase in Phase:
            self._reconciliation_failures.labels(phase)
        for operation, results in _USUAL.items():
            for result in results:
                self._payments.labels(operation, result, "false")
        self._payments.labels("charge", ChargeStatus.CAPTURED, "true")
        for status in _UNDONE:
            self._refunds.labels(status)
        for state in ENDS:
            self._reconciled.labels(state)

    def gateway_called(self, operation: str, result: str, *, replayed: bool = False) -> None:
        """Count a call of the payment gateway."""
        self._payments.labels(operation, result, str(replayed).lower()).inc()

    def payment_undone(self, status: ChargeStatus) -> None:
        """Count a payment whose row is now refunded or voided."""
        self._refunds.labels(status).inc()

    def order_reconciled(self, moved: Transition) -> None:
        """Count an order that ReconcileOrders ended."""
        self.order_ended(moved)
        if moved.moved:
            self._reconciled.labels(moved.state).inc()

    def reconciliation_ended(self, *, clean: bool) -> None:
        """Count a run of ReconcileOrders."""
        self._reconciliation_runs.labels(_RUNS[clean]).inc()

    def reconciliation_failed(self, phase: Phase) -> None:
        """Count an order, or a whole phase, that failed."""
        self._reconciliation_failures.labels(phase).inc()


class MeasuredPaymentGateway:
    """A `PaymentGateway` that counts its calls by their result."""

    def __init__(self, gateway: PaymentGateway, metrics: OrderWorkerMetrics) -> None:
        self._gateway = gateway
        self._metrics = metrics

    async def charge(self, charge: Charge) -> bool:
        """Capture; return whether the gateway had captured this key before."""
        replayed = bool(await self._ask("charge", self._gateway.charge(charge)))
        self._metrics.gateway_called("charge", ChargeStatus.CAPTURED, replayed=replayed)
        return replayed

    async def lookup(self, key: str) -> ChargeStatus:
        """Look up the status of a key."""
        return self._counted("lookup", await self._ask("lookup", self._gateway.lookup(key)))

    async def void(self, charge: Charge) -> ChargeStatus:
        """Close the key."""
        return self._counted("void", await self._ask("void", self._gateway.void(charge)))

    async def refund(self, charge: Charge) -> ChargeStatus:
        """Give back what was captured."""
        return self._counted("refund", await self._ask("refund", self._gateway.refund(charge)))

    async def list_charges(self, since: datetime, after: str) -> ChargePage | None:
        """Return charges since a time; None if the gateway has no list."""
        if not isinstance(self._gateway, ChargeLister):
            return None
        return await self._gateway.list_charges(since, after)

    def _counted(self, operation: str, status: ChargeStatus) -> ChargeStatus:
        self._metrics.gateway_called(operation, status)
        return status

    async def _ask(self, operation: str, call: Awaitable[T]) -> T:
        try:
            return await call
        except GatewayRefusedError:
            self._metrics.gateway_called(operation, _REFUSED)
            raise
        except (Exception, asyncio.CancelledError):
            # The caller's timeout arrives as a cancellation.
            self._metrics.gateway_called(operation, _UNKNOWN)
            raise
