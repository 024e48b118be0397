"""What became of an activity's earlier attempts: carried from attempt to attempt, told at the end.

Temporal retries activities by itself, so a workflow learns of the last attempt only. An attempt
leaves the errors up to it in its heartbeat, which is all that the server hands to the next one;
the step's result or last failure then tells them all. While it runs, it also leaves there how long
it has. It costs nothing while nothing fails and nothing takes long.

A local activity has no heartbeat. Its workflow tries it again, and knows its attempts by itself;
the number of each is in its id.
"""

from collections.abc import Sequence
from datetime import timedelta
from time import monotonic
from typing import Any, Final

import msgspec
from msgspec import Struct
from temporalio import activity
from temporalio.exceptions import ActivityError, ApplicationError, FailureError, TimeoutType
from temporalio.exceptions import TimeoutError as TemporalTimeoutError
from temporalio.worker import (
    ActivityInboundInterceptor,
    ExecuteActivityInput,
    Interceptor,
)

from orderfleet.domain import policies
from orderfleet.domain.contract import StepStatus
from orderfleet.gateways.protocols import GatewayUnavailableError
from orderfleet.gateways.redaction import sanitize
from orderfleet.temporal.heartbeats import beating

# What is said of an attempt that left no word: it took too long, or its worker was heard no more.
TIMED_OUT: Final = "timed out"
WORKER_LOST: Final = "worker lost"
_ERROR_BYTES: Final = 300


class StepResult(Struct, frozen=True, kw_only=True):
    """Base of a step's result. The interceptor fills it in; an activity leaves it alone."""

    attempts: int = 1
    errors: tuple[str, ...] = ()

    @property
    def status(self) -> StepStatus:
        """The step as the query `status` shows it."""
        return _status(self.attempts, list(self.errors))


def attempt_id(step: str, attempt: int) -> str:
    """Return the id of a local activity that is one attempt of a step."""
    return f"{step}/{attempt}"


def attempt_of(info: activity.Info) -> int:
    """Return which attempt of its step an activity is, from 1 on."""
    # To the SDK every local attempt is the first and only one.
    return int(info.activity_id.rpartition("/")[2]) if info.is_local else info.attempt


def attempt_limit(info: activity.Info) -> timedelta | None:
    """Return how long an attempt may take in all; None if there is no limit."""
    limits = [info.start_to_close_timeout, step_left(info)]
    return min((limit for limit in limits if limit), default=None)


def step_left(info: activity.Info) -> timedelta | None:
    """Return what its step had left when an attempt began; None if the step has no end.

    All three are of one clock: the server's, or for a local activity this machine's.
    """
    if not info.schedule_to_close_timeout:
        return None
    left = info.scheduled_time + info.schedule_to_close_timeout - info.started_time
    return max(left, policies.SHORTEST_STEP)


def failed_step(error: FailureError) -> tuple[StepStatus, str]:
    """Return attempts and errors of a step that failed for good, and its last error.

    Of a local activity it is the one attempt that failed.
    """
    match error.cause if isinstance(error, ActivityError) else error:
        case TemporalTimeoutError() as cause:
            errors, _ = _left_behind(cause.last_heartbeat_details)
            lost = cause.type is TimeoutType.HEARTBEAT
            errors.append(WORKER_LOST if lost else TIMED_OUT)
        case ApplicationError() as cause if cause.details:
            errors = [str(one) for one in cause.details[0]]
        case cause:
            errors = [str(cause)]
    return _status(len(errors), errors), errors[-1]


def _status(attempts: int, errors: list[str]) -> StepStatus:
    return StepStatus(attempts=attempts, errors=errors, last_error=errors[-1] if errors else "")


class AttemptsInterceptor(Interceptor):
    """Keeps count in every activity of a worker."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002
        """Wrap an activity."""
        return _Attempts(next)


class _Attempts(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002
        info = activity.info()
        if info.is_local:
            return await self._only_attempt(input)
        errors, lived = _left_behind(info.heartbeat_details)
        if (missing := info.attempt - 1 - len(errors)) > 0:
            errors += [_last_word(info, lived), *[_last_word(info)] * (missing - 1)]
            activity.heartbeat(*errors)
        began = monotonic()
        try:
            with beating(lambda seconds: activity.heartbeat(*errors, seconds)):
                result = await super().execute_activity(input)
        except Exception as error:
            errors.append(_words(error))
            activity.heartbeat(*errors)
            pause = _pause(error, info, timedelta(seconds=monotonic() - began))
            raise _with_details(error, errors, pause) from error
        if isinstance(result, StepResult) and errors:
            return msgspec.structs.replace(result, attempts=info.attempt, errors=tuple(errors))
        return result

    async def _only_attempt(self, input: ExecuteActivityInput) -> Any:  # noqa: A002
        try:
            return await super().execute_activity(input)
        except Exception as error:
            raise _with_details(error, [_words(error)]) from error


def _words(error: Exception) -> str:
    told = error.message if isinstance(error, ApplicationError) else str(error)
    return sanitize(told, _ERROR_BYTES) or type(error).__name__


def _left_behind(details: Sequence[Any]) -> tuple[list[str], float]:
    """Return the errors in a heartbeat, and the seconds that the attempt after them had run."""
    errors = [one for one in details if isinstance(one, str)]
    return errors, next((float(one) for one in details if not isinstance(one, str)), 0.0)


def _last_word(info: activity.Info, lived: float = 0.0) -> str:
    """Return which timeout came first for an attempt last heard of after so many seconds.

    The server knows and does not tell the next attempt; it goes by the same three numbers.
    """
    if info.heartbeat_timeout is None or info.start_to_close_timeout is None:
        return TIMED_OUT
    silent = timedelta(seconds=lived) + info.heartbeat_timeout
    return WORKER_LOST if silent < info.start_to_close_timeout else TIMED_OUT


def _pause(error: Exception, info: activity.Info, ran: timedelta) -> timedelta | None:
    """Return how long the server shall wait before the next attempt; None is its own back-off.

    An attempt that hung has spent its time. What a gateway asks for is given it, if that leaves
    time for an attempt.
    """
    if isinstance(error, ApplicationError) and error.non_retryable:
        return None
    asked = error.retry_after if isinstance(error, GatewayUnavailableError) else None
    wanted = timedelta(seconds=asked or 0)
    left = step_left(info)
    if left is None:
        return min(wanted, policies.LONGEST_RETRY_AFTER) or None
    if isinstance(error, TimeoutError):
        return None
    left = max(left - ran, timedelta(0))
    usual = policies.retry_pause(info.attempt, left)
    return max(usual, min(wanted, left - policies.ONE_ATTEMPT))


def _with_details(
    error: Exception, errors: list[str], pause: timedelta | None = None
) -> ApplicationError:
    if isinstance(error, ApplicationError):
        return ApplicationError(
            error.message,
            errors,
            type=error.type,
            non_retryable=error.non_retryable,
            next_retry_delay=error.next_retry_delay or pause,
        )
    kind = error.type if isinstance(error, FailureError) and hasattr(error, "type") else None
    return ApplicationError(
        _words(error), errors, type=kind or type(error).__name__, next_retry_delay=pause
    )
