"""A workflow's steps: activities that are tried again, each attempt told of.

A step that is nothing but a statement runs inside the workflow task, as a local activity: the
server keeps a marker of it, and has no task of its own to hand out, start, beat and complete. A
step with a gateway in it is an activity on the queue.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import TypeVar

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
from orderfleet.domain.contract import StepStatus, failure_type
from orderfleet.temporal.attempts import StepResult, attempt_id, failed_step

# The class of an activity, its argument, what it returns, and what a step returns.
S = TypeVar("S")
A = TypeVar("A")
T = TypeVar("T")
R = TypeVar("R", bound=StepResult)

OnAttempts = Callable[[str, StepStatus], None]


class StepFailedError(Exception):
    """A step failed for good; its words are the last attempt's. It never leaves the workflow."""

    def __init__(self, last: str, failure: FailureError, *, out_of_time: bool) -> None:
        super().__init__(last)
        cause = _cause(failure)
        self.kind = failure_type(cause.type) if isinstance(cause, ApplicationError) else None
        self.out_of_time = out_of_time


async def run_activity(
    activity: Callable[[S, A], Awaitable[T]],
    argument: A,
    *,
    timeout: timedelta,
    left: timedelta | None,
) -> T:
    """Run an activity on the task queue; the server retries it.

    Args:
        activity: a method, decorated as an activity.
        argument: its input.
        timeout: how long an attempt may take.
        left: how long all attempts may take; None is no limit.
    """
    return await workflow.execute_activity_method(
        activity,
        argument,
        start_to_close_timeout=timeout if left is None else min(timeout, left),
        schedule_to_close_timeout=left,
        heartbeat_timeout=policies.HEARTBEAT_TIMEOUT,
        retry_policy=policies.STEP_RETRY,
    )


async def run_step(
    step: Callable[[S, A], Awaitable[R]],
    argument: A,
    *,
    name: str,
    timeout: timedelta,
    deadline: datetime | None,
    on_attempts: OnAttempts,
) -> R:
    """Run a step on the task queue; the server retries it.

    Args:
        step: the activity, a method.
        argument: its input.
        name: the step's name.
        timeout: how long an attempt may take.
        deadline: when the step has to be over, retries included; None is no deadline.
        on_attempts: called once, with all attempts.

    Raises:
        StepFailedError: the step failed for good.
    """
    try:
        result = await run_activity(step, argument, timeout=timeout, left=_left(deadline))
    except ActivityError as error:
        if is_cancelled_exception(error):
            raise
        status, last = failed_step(error)
        on_attempts(name, status)
        out_of_time = error.retry_state == RetryState.TIMEOUT
        raise StepFailedError(last, error, out_of_time=out_of_time) from error
    on_attempts(name, result.status)
    return result


async def run_local_step(
    step: Callable[[S, A], Awaitable[R]],
    argument: A,
    *,
    name: str,
    timeout: timedelta,
    deadline: datetime | None,
    on_attempts: OnAttempts,
) -> R:
    """Run a step inside the workflow task; the workflow retries it, as the server would.

    Each attempt is a local activity of its own, so that its failure is in the history. The SDK's
    own retries keep all but the last failure to themselves, and a worker that dies forgets them.

    Nothing may be decided by the time before an attempt: one that outlasts 80 % of the workflow
    task makes it beat, and at a replay the time before it is that of the last beat. After it, the
    time is what its marker says.

    Args:
        step: the activity, a method.
        argument: its input.
        name: the step's name.
        timeout: how long an attempt may take.
        deadline: when the step has to be over, retries included; None is no deadline.
        on_attempts: called after each attempt.

    Raises:
        StepFailedError: the step failed for good.
    """
    attempt = 1
    while True:
        left = _left(deadline)
        try:
            result = await workflow.execute_local_activity_method(
                step,
                argument,
                activity_id=attempt_id(name, attempt),
                # Of two timeouts of one length either may come first; the kind is what tells.
                start_to_close_timeout=timeout if left is None or timeout < left else None,
                schedule_to_close_timeout=left,
                retry_policy=RetryPolicy(maximum_attempts=1),
            )
        # A failure comes as it is, only a time-out and a cancellation in an ActivityError.
        except FailureError as error:
            if is_cancelled_exception(error):
                raise
            status, last = failed_step(error)
            on_attempts(name, status)
            pause = policies.step_backoff(attempt)
            out_of_time = _out_of_time(error)
            if out_of_time or _permanent(error) or attempt == policies.STEP_RETRY.maximum_attempts:
                raise StepFailedError(last, error, out_of_time=out_of_time) from error
            if deadline is not None and workflow.now() + pause >= deadline:
                raise StepFailedError(last, error, out_of_time=True) from error
        else:
            on_attempts(name, result.status)
            return result
        attempt += 1
        await workflow.sleep(pause)


def _left(deadline: datetime | None) -> timedelta | None:
    return None if deadline is None else max(deadline - workflow.now(), policies.SHORTEST_STEP)


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
