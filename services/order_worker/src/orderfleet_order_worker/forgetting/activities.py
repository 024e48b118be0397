"""The activities of ForgetWorkflow: Postgres first, then Temporal."""

from collections.abc import Callable
from typing import Any, Final

import structlog
from temporalio import activity
from temporalio.client import Client
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from orderfleet.domain.contract import NOT_FORGETTABLE, ORDER_BUSY, ForgetResult
from orderfleet.domain.policies import FORGET_WAIT
from orderfleet.polling import poll
from orderfleet.store.forget import Forgotten, forget_order
from orderfleet.store.pool import Pool
from orderfleet_order_worker.forgetting.order_runs import Run, delete_run, runs_of
from orderfleet_order_worker.settings import OrderWorkerSettings

log = structlog.stdlib.get_logger(__name__)

_REFUSALS: Final = {
    Forgotten.UNKNOWN: "there is no such order",
    Forgotten.OPEN: "the order has not ended",
    Forgotten.OWED: "the order's refund is outstanding",
}
_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 2.0


class ForgetActivities:
    """The activities of forgetting, with what they need."""

    def __init__(self, pool: Pool, client: Client, settings: OrderWorkerSettings) -> None:
        self._pool = pool
        self._client = client
        self._task_queues = frozenset({settings.order_task_queue, settings.shipping_task_queue})

    def all(self) -> list[Callable[..., Any]]:
        """Return the activities to register."""
        return [self.forget_rows, self.forget_histories]

    @activity.defn
    async def forget_rows(self, order_id: str) -> ForgetResult:
        """Redact the order's rows.

        Raises:
            ApplicationError: the order cannot be forgotten, or not while a workflow of it runs.
        """
        # A running refund may still need the address, to call the package back.
        runs = await self._require_closed(order_id)
        outcome = await forget_order(self._pool, order_id)
        if outcome in _REFUSALS:
            raise _refusal(_REFUSALS[outcome], NOT_FORGETTABLE, non_retryable=True)
        return ForgetResult(order_id, outcome is Forgotten.NOW, len(runs))

    @activity.defn
    async def forget_histories(self, order_id: str) -> None:
        """Delete the runs of the order's workflows; return once all are gone.

        Raises:
            ApplicationError: some are not gone yet, or a workflow of the order runs again.
        """
        asked: set[Run] = set()

        async def delete() -> list[Run]:
            left = await self._require_closed(order_id)
            for run in set(left) - asked:
                await delete_run(self._client, run)
                asked.add(run)
            return left

        left = await poll(
            delete,
            lambda left: not left,
            seconds=FORGET_WAIT.total_seconds(),
            pause=_PAUSE,
            longest_pause=_LONGEST_PAUSE,
        )
        if left:
            raise _refusal(f"{len(left)} runs are not deleted yet", ORDER_BUSY)
        log.info("order forgotten", order_id=order_id)

    async def _require_closed(self, order_id: str) -> list[Run]:
        """Return the runs of the order's workflows, none of which runs."""
        runs = await runs_of(self._client, order_id, self._task_queues)
        running = sorted(run.workflow_id for run in runs if run.running)
        if running:
            # The server would terminate it.
            raise _refusal(f"{running[0]} is running", ORDER_BUSY)
        return runs


def _refusal(message: str, type_: str, *, non_retryable: bool = False) -> ApplicationError:
    """Return an expected failure, which the SDK neither counts nor logs as an error."""
    return ApplicationError(
        message, type=type_, non_retryable=non_retryable, category=ApplicationErrorCategory.BENIGN
    )
