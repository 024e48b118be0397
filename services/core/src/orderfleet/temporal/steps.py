"""A workflow's steps: activities that are tried again, each attempt told of.

A step that is nothing but a statement runs inside the workflow task, as a local activity: the
server keeps a marker of it, and has no task of its own to hand out, start, beat and complete. A
step with a gateway in it is an activity on the queue.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    FailureError,
    RetryState,
    TimeoutType,
    is_cancelled_exception,
)
from temporalio.exceptions import TimeoutError as TemporalTimeoutError

from orderfleet.domain import policies
from orderfleet.domain.contract import StepStatus
from orderfleet.temporal.attempts import attempt_id, failed_step

Tell = Callable[[str, StepStatus], None]


class StepFailedError(Exception):
    """A step failed for good; its words are the last attempt's. It never leaves the workflow."""

    def __init__(self, last: str, failure: FailureError, *, out_of_time: bool) -> None:
        super().__init__(last)
        cause = _cause(failure)
        self.kind = cause.type if isinstance(cause, ApplicationError) else None
        self.out_of_time = out_of_time


async def run_step(
    name: str, step: Any, argument: Any, *, limit: timedelta, end: datetime | None, tell: Tell
) -> Any:
    """Run a step on the task queue; the server tries it again.

    Args:
        name: the step's name.
        step: the activity, a method.
        argument: its input.
        limit: how long an attempt may take.
        end: when the step has to be over, its retries too; with None it has no end.
        tell: is told of all attempts, once.

    Raises:
        StepFailedError: it failed for good.
    """
    left = _left(end)
    try:
        result = await workflow.execute_activity_method(
            step,
            argument,
            start_to_close_timeout=_least(limit, left),
            schedule_to_close_timeout=left,
            heartbeat_timeout=policies.HEARTBEAT_TIMEOUT,
            retry_policy=policies.STEP_RETRY,
        )
    except ActivityError as error:
        if is_cancelled_exception(error):
            raise
        status, last = failed_step(error)
        tell(name, status)
        out_of_time = error.retry_state == RetryState.TIMEOUT
        raise StepFailedError(last, error, out_of_time=out_of_time) from error
    tell(name, result.status)
    return result


async def run_local_step(
    name: str, step: Any, argument: Any, *, limit: timedelta, end: datetime | None, tell: Tell
) -> Any:
    """Run a step inside the workflow task; it is tried again here, as the server would.

    Each attempt is a local activity of its own, so that its failure is in the history. The SDK's
    own retries keep all but the last failure to themselves, and a worker that dies forgets them.

    Nothing may be decided by the time before an attempt: one that outlasts 80 % of the workflow
    task makes it beat, and at a replay the time before it is that of the last beat. After it, the
    time is what its marker says.

    Args:
        name: the step's name.
        step: the activity, a method.
        argument: its input.
        limit: how long an attempt may take.
        end: when the step has to be over, its retries too; with None it has no end.
        tell: is told of every attempt as soon as it is over.

    Raises:
        StepFailedError: it failed for good.
    """
    attempt = 1
    while True:
        left = _left(end)
        try:
            result = await workflow.execute_local_activity_method(
                step,
                argument,
                activity_id=attempt_id(name, attempt),
                # Of two timeouts of one length either may come first; the kind is what tells.
                start_to_close_timeout=limit if left is None or limit < left else None,
                schedule_to_close_timeout=left,
                retry_policy=RetryPolicy(maximum_attempts=1),
            )
        # A failure comes as it is, only a time-out and a cancellation in an ActivityError.
        except FailureError as error:
            if is_cancelled_exception(error):
                raise
            status, last = failed_step(error)
            tell(name, status)
            pause = policies.step_backoff(attempt)
            out_of_time = _out_of_time(error)
            if out_of_time or _permanent(error) or attempt == policies.STEP_RETRY.maximum_attempts:
                raise StepFailedError(last, error, out_of_time=out_of_time) from error
            if end is not None and workflow.now() + pause >= end:
                raise StepFailedError(last, error, out_of_time=True) from error
        else:
            tell(name, result.status)
            return result
        attempt += 1
        await workflow.sleep(pause)


def _left(end: datetime | None) -> timedelta | None:
    return None if end is None else max(end - workflow.now(), policies.SHORTEST_STEP)


def _least(limit: timedelta, left: timedelta | None) -> timedelta:
    return limit if left is None else min(limit, left)


def _out_of_time(error: FailureError) -> bool:
    """Tell whether an attempt was cut off by the end of its step, not by its own limit."""
    cause = _cause(error)
    if not isinstance(cause, TemporalTimeoutError):
        return False
    return cause.type is TimeoutType.SCHEDULE_TO_CLOSE


def _permanent(error: FailureError) -> bool:
    cause = _cause(error)
    return isinstance(cause, ApplicationError) and cause.non_retryable


def _cause(error: FailureError) -> BaseException | None:
    return error.cause if isinstance(error, ActivityError) else error
