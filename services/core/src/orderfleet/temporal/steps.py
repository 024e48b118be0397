"""A workflow's steps: activities that are retried, with all their attempts reported.

A step that is a single SQL statement runs inside the workflow task, as a local activity: the server
stores a marker of it, and has no activity task to hand out, time and complete. A step that calls a
gateway is an activity on the queue.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final, NamedTuple, TypeVar

from temporalio import workflow
from temporalio.common import Priority, RetryPolicy
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    FailureError,
    RetryState,
    TimeoutType,
    is_cancelled_exception,
)
from temporalio.exceptions import TimeoutError as TemporalTimeoutError

from orderfleet.domain import policies, summaries
from orderfleet.domain.contract import PAYLOAD_KEY_MISSING, StepStatus, failure_type
from orderfleet.temporal.attempts import LOST, TIMED_OUT, StepResult, attempt_id, heartbeat_errors

# The class of an activity, its argument, what it returns, and what a step returns.
S = TypeVar("S")
A = TypeVar("A")
T = TypeVar("T")
R = TypeVar("R", bound=StepResult)

OnAttempts = Callable[[str, StepStatus], None]


class OnQueue(NamedTuple):
    """An activity on the task queue: its place there, and its summary for Temporal's UI.

    The place is by default that of its workflow.
    """

    priority: Priority = Priority.default
    summary: str = ""


_USUAL: Final = OnQueue()


class StepFailedError(Exception):
    """A step failed, or one local attempt of it. Its text is the last attempt's error.

    It never leaves the workflow.
    """

    def __init__(self, failure: FailureError) -> None:
        # A local activity's own failure comes bare, a timeout or cancellation in an ActivityError.
        cause = failure.cause if isinstance(failure, ActivityError) else failure
        retry_state = failure.retry_state if isinstance(failure, ActivityError) else None
        self.kind: str | None = None
        self.permanent = False
        self.out_of_time = retry_state == RetryState.TIMEOUT
        match cause:
            case TemporalTimeoutError():
                errors = heartbeat_errors(cause.last_heartbeat_details)
                errors.append(LOST if cause.type is TimeoutType.HEARTBEAT else TIMED_OUT)
                self.out_of_time |= cause.type is TimeoutType.SCHEDULE_TO_CLOSE
            case ApplicationError():
                self.kind, self.permanent = failure_type(cause.type), cause.non_retryable
                errors = list(cause.details[0]) if cause.details else [str(cause)]
            case _:
                errors = [str(cause)]
        super().__init__(errors[-1])
        self.status = StepStatus(len(errors), errors, errors[-1])


async def run_activity(
    activity: Callable[[S, A], Awaitable[T]],
    argument: A,
    *,
    timeout: timedelta,
    left: timedelta | None,
    on_queue: OnQueue = _USUAL,
) -> T:
    """Run an activity on the task queue; the server retries it.

    Attempts on workers that lack the payload's key do not count: the activity is scheduled again
    until a worker with the key takes it.

    Args:
        activity: a method, decorated as an activity.
        argument: its input.
        timeout: how long an attempt may take.
        left: how long all attempts may take; None is no limit.
        on_queue: its place and its summary.
    """
    deadline = None if left is None else workflow.now() + left
    while True:
        try:
            return await workflow.execute_activity_method(
                activity,
                argument,
                start_to_close_timeout=timeout if left is None else min(timeout, left),
                schedule_to_close_timeout=left,
                heartbeat_timeout=policies.HEARTBEAT_TIMEOUT,
                retry_policy=policies.STEP_RETRY,
                summary=on_queue.summary,
                priority=on_queue.priority,
            )
        except ActivityError as error:
            if not lacks_key(error) or error.retry_state == RetryState.TIMEOUT:
                raise
            if deadline is not None and workflow.now() + policies.KEY_PAUSE >= deadline:
                raise
        await workflow.sleep(policies.KEY_PAUSE, summary="no worker had the payload's key")
        left = _left(deadline)


async def run_step(
    step: Callable[[S, A], Awaitable[R]],
    argument: A,
    *,
    name: str,
    timeout: timedelta,
    deadline: datetime | None,
    on_attempts: OnAttempts,
    on_queue: OnQueue = _USUAL,
) -> R:
    """Run a step on the task queue; the server retries it.

    Args:
        step: the activity, a method.
        argument: its input.
        name: the step's name.
        timeout: how long an attempt may take.
        deadline: when the step has to be over, retries included; None is no deadline.
        on_attempts: called once, with all attempts.
        on_queue: its place and its summary.

    Raises:
        StepFailedError: the step failed for good.
    """
    running = run_activity(step, argument, timeout=timeout, left=_left(deadline), on_queue=on_queue)
    return await _reported(running, name, on_attempts)


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

    Each attempt is a local activity of its own, so that its failure is in the history: the SDK's
    own retries report the last failure only, and are lost with their worker.

    Decide nothing by the time before an attempt: an attempt that outlasts 80 % of the workflow task
    makes the task heartbeat, and at a replay the time before the attempt is that of the last such
    heartbeat. After the attempt, the time is its marker's.

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
        running = workflow.execute_local_activity_method(
            step,
            argument,
            activity_id=attempt_id(name, attempt),
            # Two timeouts of one length would race, and StepFailedError goes by which one it was.
            start_to_close_timeout=timeout if left is None or timeout < left else None,
            schedule_to_close_timeout=left,
            retry_policy=RetryPolicy(maximum_attempts=1),
        )
        try:
            return await _reported(running, name, on_attempts)
        except StepFailedError as failed:
            if (
                failed.permanent
                or failed.out_of_time
                or attempt == policies.STEP_RETRY.maximum_attempts
            ):
                raise
            pause = policies.step_backoff(attempt)
            if deadline is not None and workflow.now() + pause >= deadline:
                failed.out_of_time = True
                raise
        attempt += 1
        await workflow.sleep(pause, summary=summaries.next_attempt(name, attempt))


def lacks_key(error: BaseException) -> bool:
    """Tell whether an activity failed on a worker that lacks a payload's key."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ApplicationError) and cause.type == PAYLOAD_KEY_MISSING:
            return True
        cause = cause.__cause__
    return False


async def _reported(running: Awaitable[R], name: str, on_attempts: OnAttempts) -> R:
    try:
        result = await running
    except FailureError as error:
        if is_cancelled_exception(error):
            raise
        failed = StepFailedError(error)
        on_attempts(name, failed.status)
        raise failed from error
    on_attempts(name, result.status)
    return result


def _left(deadline: datetime | None) -> timedelta | None:
    return None if deadline is None else max(deadline - workflow.now(), policies.SHORTEST_STEP)
