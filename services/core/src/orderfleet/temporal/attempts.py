"""The attempts of a step: which one this is, how long it has, and the errors of all of them.

Temporal retries activities on a queue by itself and tells the workflow the last failure only. So
each attempt leaves the errors so far in its heartbeat, which is all that the server hands to the
next one; the step's result or last failure carries them to the workflow. A first attempt that
works and is short sends nothing.

A local activity is one attempt, which the workflow retries. Its failure has one error.
"""

from collections.abc import Sequence
from datetime import timedelta
from time import monotonic
from typing import Any, Final

import msgspec
from msgspec import Struct
from temporalio import activity
from temporalio.exceptions import ApplicationError
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

# The error of an attempt that left none: of its end the server tells the next attempt nothing, and
# of the last one that its heartbeats stopped. A timeout that the server names is one.
LOST: Final = "timed out or worker lost"
TIMED_OUT: Final = "timed out"
_ERROR_BYTES: Final = 300


class StepResult(Struct, frozen=True, kw_only=True):
    """Base of a step's result. The interceptor fills it in; an activity leaves it alone."""

    attempts: int = 1
    errors: tuple[str, ...] = ()

    @property
    def status(self) -> StepStatus:
        """The step as the query `status` shows it."""
        return StepStatus(self.attempts, list(self.errors), "".join(self.errors[-1:]))


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
    """Return what its step had left when an attempt began; None if the step has no deadline.

    All three times are of one clock: the server's, or for a local activity this machine's.
    """
    if not info.schedule_to_close_timeout:
        return None
    left = info.scheduled_time + info.schedule_to_close_timeout - info.started_time
    return max(left, policies.SHORTEST_STEP)


def heartbeat_errors(details: Sequence[Any]) -> list[str]:
    """Return the errors in a heartbeat; an older release sent a number of seconds behind them."""
    return [detail for detail in details if isinstance(detail, str)]


class AttemptsInterceptor(Interceptor):
    """Carries the errors of earlier attempts through every activity of a worker."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002
        """Wrap an activity."""
        return _Attempts(next)


class _Attempts(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002
        info = activity.info()
        errors = heartbeat_errors(info.heartbeat_details)
        if (lost := info.attempt - 1 - len(errors)) > 0:
            errors += [LOST] * lost
            activity.heartbeat(*errors)
        began = monotonic()
        try:
            with beating(*errors):
                result = await super().execute_activity(input)
        except Exception as error:
            errors.append(_message(error))
            if not info.is_local:
                activity.heartbeat(*errors)
            ran = timedelta(seconds=monotonic() - began)
            raise _failure(error, errors, _pause(error, info, ran)) from error
        if isinstance(result, StepResult) and errors:
            return msgspec.structs.replace(result, attempts=info.attempt, errors=tuple(errors))
        return result


def _message(error: Exception) -> str:
    message = error.message if isinstance(error, ApplicationError) else str(error)
    return sanitize(message, _ERROR_BYTES) or type(error).__name__


def _failure(error: Exception, errors: list[str], pause: timedelta | None) -> ApplicationError:
    """Return the failure of an attempt, with the errors of all attempts as its details."""
    if not isinstance(error, ApplicationError):
        kind = type(error).__name__
        return ApplicationError(errors[-1], errors, type=kind, next_retry_delay=pause)
    return ApplicationError(
        error.message,
        errors,
        type=error.type,
        non_retryable=error.non_retryable,
        next_retry_delay=error.next_retry_delay or pause,
        category=error.category,
    )


def _pause(error: Exception, info: activity.Info, ran: timedelta) -> timedelta | None:
    """Return how long the server shall wait before the next attempt; None is its own back-off.

    A gateway gets the pause that it asks for, unless that leaves no time for an attempt.
    """
    if info.is_local or (isinstance(error, ApplicationError) and error.non_retryable):
        return None
    asked = error.retry_after if isinstance(error, GatewayUnavailableError) else None
    wanted = timedelta(seconds=asked or 0)
    left = step_left(info)
    if left is None:
        return min(wanted, policies.LONGEST_RETRY_AFTER) or None
    # An attempt that hung has spent its time.
    if isinstance(error, TimeoutError):
        return None
    return policies.retry_pause(info.attempt, max(left - ran, timedelta(0)), wanted)
