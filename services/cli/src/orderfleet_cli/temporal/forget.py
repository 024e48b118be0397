"""The command `forget`: start the workflow that forgets an order, and wait for it."""

from contextlib import suppress
from typing import Final, TypeAlias

from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.exceptions import ActivityError

from orderfleet.domain import priorities, summaries
from orderfleet.domain.contract import (
    FORGET_WORKFLOW,
    STATUS_QUERY,
    ForgetInput,
    ForgetResult,
    ForgetStep,
    forget_id,
)
from orderfleet.domain.orders import is_order_id
from orderfleet.domain.policies import TASK_TIMEOUT
from orderfleet.polling import poll
from orderfleet.settings import CommonSettings
from orderfleet_cli.errors import CommandError, UsageError
from orderfleet_cli.printing import one_line, show, show_json
from orderfleet_cli.settings import read
from orderfleet_cli.temporal.connection import call_temporal, open_temporal

_Handle: TypeAlias = WorkflowHandle[object, ForgetResult]

_POLL: Final = 0.3
# Longer than the 30 s after which Temporal deletes what closed just now.
_WAIT_SECONDS: Final = 120.0
_STEPS: Final = {
    ForgetStep.ROWS: "redacting its rows in Postgres",
    ForgetStep.HISTORIES: "deleting its histories in Temporal",
}


async def forget_order(order_id: str, *, wait: bool, as_json: bool) -> None:
    """Forget an order; with `wait`, wait until nothing of it is left.

    Raises:
        CommandError: with `wait`: the order cannot be forgotten, or is not yet.
    """
    if not is_order_id(order_id):
        raise UsageError(
            f"invalid order id {order_id!r}: use up to 64 letters, digits, `.`, `_`, `-`"
        )
    client = await open_temporal()
    handle: _Handle = await call_temporal(
        client.start_workflow(
            FORGET_WORKFLOW,
            ForgetInput(order_id),
            id=forget_id(order_id),
            task_queue=read(CommonSettings).order_task_queue,
            task_timeout=TASK_TIMEOUT,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            static_summary=summaries.FORGETS,
            priority=priorities.FORGET,
            result_type=ForgetResult,
        )
    )
    if not wait:
        if as_json:
            show_json({"order_id": order_id, "workflow_id": handle.id})
        else:
            show(f"{order_id}: {handle.id} is started")
        return
    result = await _wait_for_end(order_id, handle, quiet=as_json)
    if as_json:
        show_json(result)
    else:
        show(f"{order_id}: {'forgotten' if result.first else 'was forgotten before'}")


async def _wait_for_end(order_id: str, handle: _Handle, *, quiet: bool) -> ForgetResult:
    shown = None

    async def has_closed() -> bool:
        nonlocal shown
        if (await call_temporal(handle.describe())).status is not WorkflowExecutionStatus.RUNNING:
            return True
        # No worker may answer: then the wait goes on without a progress.
        with suppress(CommandError):
            step = await call_temporal(handle.query(STATUS_QUERY, result_type=ForgetStep))
            if step != shown and step in _STEPS and not quiet:
                show(f"{order_id}: {_STEPS[step]}")
            shown = step
        return False

    if not await poll(has_closed, seconds=_WAIT_SECONDS, pause=_POLL):
        raise CommandError(f"{handle.id} is not done yet (see `orderfleet describe {handle.id}`)")
    try:
        return await call_temporal(handle.result())
    except WorkflowFailureError as error:
        cause = error.cause
        reason = (cause.cause if isinstance(cause, ActivityError) else None) or cause
        raise CommandError(f"{order_id}: {_message(reason)}") from None


def _message(error: BaseException) -> str:
    # An ApplicationError's text begins with its type.
    return one_line(str(getattr(error, "message", "") or error))
