"""What became of an activity's earlier attempts: carried from attempt to attempt, told at the end.

Temporal retries activities by itself, so a workflow learns of the last attempt only. An attempt
leaves the errors up to it in its heartbeat, which is all that the server hands to the next one;
the step's result or last failure then tells them all. It costs nothing while nothing fails.
"""

from typing import Any, Final

import msgspec
from msgspec import Struct
from temporalio import activity
from temporalio.exceptions import ActivityError, ApplicationError, FailureError
from temporalio.exceptions import TimeoutError as TemporalTimeoutError
from temporalio.worker import (
    ActivityInboundInterceptor,
    ExecuteActivityInput,
    Interceptor,
)

from orderfleet.messages import StepStatus

# What the server does not tell: an attempt that left no word was given up by its timeout, or its
# worker died.
NO_WORD: Final = "timed out"
_ERROR_LENGTH: Final = 300


class StepResult(Struct, frozen=True, kw_only=True):
    """Base of a step's result. The interceptor fills it in; an activity leaves it alone."""

    attempts: int = 1
    errors: tuple[str, ...] = ()

    @property
    def status(self) -> StepStatus:
        """The step as the query `status` shows it."""
        return _status(self.attempts, list(self.errors))


def failed_step(error: ActivityError) -> tuple[StepStatus, str]:
    """Return attempts and errors of a step that failed for good, and its last error."""
    match error.cause:
        case TemporalTimeoutError() as cause:
            errors = [*map(str, cause.last_heartbeat_details), NO_WORD]
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
        errors = [str(error) for error in info.heartbeat_details]
        if missing := info.attempt - 1 - len(errors):
            errors += [NO_WORD] * missing
            activity.heartbeat(*errors)
        try:
            result = await super().execute_activity(input)
        except Exception as error:
            told = error.message if isinstance(error, ApplicationError) else str(error)
            errors.append((told or type(error).__name__)[:_ERROR_LENGTH])
            activity.heartbeat(*errors)
            raise _with_details(error, errors) from error
        if isinstance(result, StepResult) and errors:
            return msgspec.structs.replace(result, attempts=info.attempt, errors=tuple(errors))
        return result


def _with_details(error: Exception, errors: list[str]) -> ApplicationError:
    if isinstance(error, ApplicationError):
        return ApplicationError(
            error.message, errors, type=error.type, non_retryable=error.non_retryable
        )
    kind = error.type if isinstance(error, FailureError) and hasattr(error, "type") else None
    return ApplicationError(str(error), errors, type=kind or type(error).__name__)
