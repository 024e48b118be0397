"""One run of ReconcileOrders: its time limits, its concurrency, the report of its failures."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from random import sample
from typing import Any, Final, TypeVar

import structlog
from msgspec import Struct
from temporalio.service import RPCError

from orderfleet.domain import policies
from orderfleet.domain.text import printable
from orderfleet.store.pool import UNAVAILABLE
from orderfleet.store.restores import Restore
from orderfleet_order_worker.metrics import OrderWorkerMetrics, Phase

log = structlog.stdlib.get_logger(__name__)

T = TypeVar("T")

# An outage: logged without a traceback.
_OUTAGES: Final = (*UNAVAILABLE, RPCError)
_MOST_ERRORS: Final = 5


class ReconciliationSummary(Struct, frozen=True):
    """What a run did: failures are counted by phase, the first few have their message."""

    ended: int = 0
    refunds_started: int = 0
    failures: dict[str, int] = {}
    errors: list[str] = []
    # This run or an earlier run has seen all workflows that closed before.
    began: datetime | None = None


class ReconciliationRun:
    """Runs the phases and counts what they do."""

    def __init__(self, metrics: OrderWorkerMetrics) -> None:
        self._metrics = metrics
        self.failures: Counter[Phase] = Counter()
        # The restore whose orders are in doubt, if there is one.
        self.restore: Restore | None = None
        self._errors: list[str] = []
        self.ended = 0
        self.refunds_started = 0

    async def phase(self, phase: Phase, work: Coroutine[Any, Any, None]) -> None:
        """Run a phase; the next run does what is left when its time is over."""
        with self._failing(phase):
            async with asyncio.timeout(policies.RECONCILE_PHASE.total_seconds()):
                await work

    async def each(
        self,
        phase: Phase,
        items: Sequence[T],
        name: Callable[[T], str],
        work: Callable[[T], Awaitable[None]],
    ) -> None:
        """Do the work of a phase for each item, several concurrently; skip those that fail.

        The order is random, so that a phase that runs out of time does not always miss the same
        items.
        """
        waiting = iter(sample(items, len(items)))

        async def work_on() -> None:
            for item in waiting:
                with self._failing(phase, name(item)):
                    async with asyncio.timeout(policies.RECONCILE_ORDER.total_seconds()):
                        await work(item)

        async with asyncio.TaskGroup() as group:
            for _ in range(min(policies.RECONCILE_AT_ONCE, len(items))):
                group.create_task(work_on())

    def summary(self, began: datetime) -> ReconciliationSummary:
        """Return what was done and what failed, and count the run."""
        self._metrics.reconciliation_ended(clean=not self.failures)
        failures = {phase.value: count for phase, count in sorted(self.failures.items())}
        return ReconciliationSummary(
            self.ended, self.refunds_started, failures, self._errors, began
        )

    @contextmanager
    def _failing(self, phase: Phase, order_id: str = "") -> Iterator[None]:
        """Log and count an error instead of raising it."""
        try:
            yield
        except Exception as error:
            message = str(error) or type(error).__name__
            self.failures[phase] += 1
            self._metrics.reconciliation_failed(phase)
            if len(self._errors) < _MOST_ERRORS:
                self._errors.append(printable(f"{phase}: {order_id} {message}"))
            log.warning(
                "reconciliation failed",
                phase=phase,
                order_id=order_id or None,
                error=message,
                exc_info=None if isinstance(error, _OUTAGES) else error,
            )
