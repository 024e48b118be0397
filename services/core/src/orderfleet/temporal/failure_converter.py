"""Failures short enough for Temporal to store them whole.

The server replaces a failure of more than 4 KB by "Failure exceeds size limit." while its activity
waits for the next attempt, and an order's status would show that text instead of the error.

Where payloads are encrypted, the messages and stack traces of failures are, too: they may quote an
address.
"""

from typing import Final

from temporalio.api.failure.v1 import Failure
from temporalio.converter import DefaultFailureConverter, PayloadConverter
from temporalio.exceptions import ApplicationError, FailureError

from orderfleet.domain.contract import PAYLOAD_KEY_MISSING

# The server's limit is 4 KB (`limit.mutableStateActivityFailureSize.error`), with what the server
# and other interceptors add.
_MOST_BYTES: Final = 3_500
_MESSAGE_BYTES: Final = 500
_TRACE_BYTES: Final = 1_000
_CAUSES: Final = 3
_CUT: Final = "\n...\n"
# What the codec adds to a payload: nonce, tag, the id of the key, both encodings.
_SEAL_BYTES: Final = 200
# The SDK's own text in place of a message that is encoded.
ENCODED: Final = "Encoded failure"


class PayloadKeyError(Exception):
    """A payload's key is missing or wrong in this process; another one may have it."""


class BoundedFailureConverter(DefaultFailureConverter):
    """Truncates messages, stack traces and chains of causes."""

    def to_failure(
        self, exception: BaseException, payload_converter: PayloadConverter, failure: Failure
    ) -> None:
        """Convert an exception."""
        if not isinstance(exception, FailureError):
            # As the SDK does, but a message may hold a lone surrogate, which UTF-8 cannot encode.
            converted = ApplicationError(
                _shortened(str(exception), _MESSAGE_BYTES), type=type(exception).__name__
            )
            converted.__cause__, converted.__context__ = exception.__cause__, exception.__context__
            converted.__suppress_context__ = exception.__suppress_context__
            exception = converted.with_traceback(exception.__traceback__)
        super().to_failure(exception, payload_converter, failure)
        bound(failure)


class EncodedFailureConverter(DefaultFailureConverter):
    """Also moves messages and stack traces to where the codec encrypts them.

    Not those of a missing key: a worker that lacks the key says so in clear text.
    """

    def __init__(self) -> None:
        super().__init__()
        self._bounded = BoundedFailureConverter()

    def to_failure(
        self, exception: BaseException, payload_converter: PayloadConverter, failure: Failure
    ) -> None:
        """Convert an exception."""
        self._bounded.to_failure(exception, payload_converter, failure)
        chain = causes(failure)
        if any(link.application_failure_info.type == PAYLOAD_KEY_MISSING for link in chain):
            return
        for link in chain:
            # The cause of a failure that came from Temporal is encoded already.
            if link.message != ENCODED:
                attributes = {"message": link.message, "stack_trace": link.stack_trace}
                [encoded] = payload_converter.to_payloads([attributes])
                link.encoded_attributes.CopyFrom(encoded)
                link.message, link.stack_trace = ENCODED, ""
        while len(chain) > 1 and failure.ByteSize() + _SEAL_BYTES * len(chain) > _MOST_BYTES:
            chain.pop()
            chain[-1].ClearField("cause")


def causes(failure: Failure) -> list[Failure]:
    """Return a failure and its causes."""
    chain = [failure]
    while chain[-1].HasField("cause"):
        chain.append(chain[-1].cause)
    return chain


def bound(failure: Failure) -> None:
    """Truncate a failure until it is short enough: the deepest cause first."""
    chain = causes(failure)[: _CAUSES + 1]
    chain[-1].ClearField("cause")
    for link in chain:
        link.message = _shortened(link.message, _MESSAGE_BYTES)
        link.stack_trace = _middle_out(link.stack_trace, _TRACE_BYTES)
    for link in reversed(chain):
        if failure.ByteSize() > _MOST_BYTES:
            link.ClearField("cause")
            link.stack_trace = ""


def _shortened(text: str, most: int) -> str:
    return text.encode(errors="replace")[:most].decode(errors="ignore")


def _middle_out(text: str, most: int) -> str:
    """Keep the two ends of a stack trace: the entry point, and where the error was raised."""
    data = text.encode(errors="replace")
    if len(data) <= most:
        return text
    half = (most - len(_CUT)) // 2
    return data[:half].decode(errors="ignore") + _CUT + data[-half:].decode(errors="ignore")
