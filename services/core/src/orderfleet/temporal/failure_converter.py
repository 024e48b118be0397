"""Failures as Temporal keeps them: short enough that their words are not thrown away.

A failure of more than 4 KB is replaced by "Failure exceeds size limit." while its activity waits
for its next attempt, and the status of an order would tell that instead of what went wrong.
"""

from typing import Final

from temporalio.api.failure.v1 import Failure
from temporalio.converter import DefaultFailureConverter, PayloadConverter
from temporalio.exceptions import ApplicationError, FailureError

# The server's limit is 4 KB (`limit.mutableStateActivityFailureSize.error`); what it and other
# interceptors add has to fit too.
_MOST_BYTES: Final = 3_500
_MESSAGE_BYTES: Final = 500
_TRACE_BYTES: Final = 1_000
_CAUSES: Final = 3
_CUT: Final = "\n...\n"


class BoundedFailureConverter(DefaultFailureConverter):
    """Cuts messages, stack traces and chains of causes; the first words stay."""

    def to_failure(
        self, exception: BaseException, payload_converter: PayloadConverter, failure: Failure
    ) -> None:
        """Convert an exception."""
        if not isinstance(exception, FailureError):
            # As the SDK does, but a message may be anything, and half a surrogate is no UTF-8.
            told = ApplicationError(
                _shortened(str(exception), _MESSAGE_BYTES), type=type(exception).__name__
            )
            told.__cause__, told.__context__ = exception.__cause__, exception.__context__
            told.__suppress_context__ = exception.__suppress_context__
            exception = told.with_traceback(exception.__traceback__)
        super().to_failure(exception, payload_converter, failure)
        bound(failure)


def bound(failure: Failure) -> None:
    """Cut a failure until it is short enough: the deepest cause first, its own words last."""
    chain = [failure]
    while chain[-1].HasField("cause") and len(chain) <= _CAUSES:
        chain.append(chain[-1].cause)
    chain[-1].ClearField("cause")
    for one in chain:
        one.message = _shortened(one.message, _MESSAGE_BYTES)
        one.stack_trace = _middle_out(one.stack_trace, _TRACE_BYTES)
    for one in reversed(chain):
        if failure.ByteSize() > _MOST_BYTES:
            one.ClearField("cause")
            one.stack_trace = ""


def _shortened(text: str, most: int) -> str:
    return text.encode(errors="replace")[:most].decode(errors="ignore")


def _middle_out(text: str, most: int) -> str:
    """Keep where it began and where it was raised."""
    data = text.encode(errors="replace")
    if len(data) <= most:
        return text
    half = (most - len(_CUT)) // 2
    return data[:half].decode(errors="ignore") + _CUT + data[-half:].decode(errors="ignore")
