"""A failure is never so long that the server throws its words away."""

import traceback

import pytest
from temporalio.api.failure.v1 import Failure
from temporalio.exceptions import ApplicationError

from orderfleet.temporal.converter import make_data_converter
from orderfleet.temporal.failure_converter import BoundedFailureConverter

LIMIT = 4096
CONVERTER = make_data_converter()


def converted(error: BaseException) -> Failure:
    failure = Failure()
    CONVERTER.failure_converter.to_failure(error, CONVERTER.payload_converter, failure)
    return failure


def deep(frames: int, words: str) -> None:
    # By turns, as Python folds the same line into "repeated n times".
    if frames % 2:  # noqa: SIM114 (two lines are what this is about)
        deep(frames - 1, words)
    elif frames:
        deep(frames - 1, words)
    raise ValueError(words)


def caught(error: Exception, cause: Exception | None = None) -> Exception:
    """Return an exception as it is once it was raised."""
    with pytest.raises(type(error)) as raised:
        raise error from cause
    return raised.value


def chain(length: int, words: str) -> Exception:
    """Return an exception with a long traceback, behind so many others."""
    with pytest.raises(ValueError) as raised:  # noqa: PT011 (its words are the parameter)
        deep(100, words)
    error: Exception = raised.value
    for number in range(length):
        error = caught(RuntimeError(f"{number} {words}"), error)
    return error


def test_the_fleets_converter_has_the_bounds() -> None:
    assert CONVERTER.failure_converter_class is BoundedFailureConverter


@pytest.mark.parametrize("words", ["x" * 20_000, "é" * 20_000, "a\ud800" * 9_000, ""])
@pytest.mark.parametrize("length", [0, 1, 5, 200])
def test_a_failure_keeps_its_first_words_and_fits(words: str, length: int) -> None:
    errors = ["0" + "é" * 149] * 3
    said = words.replace("\ud800", "")
    front = ApplicationError(f"first {said}", errors, type="Away")
    failure = converted(caught(front, chain(length, words)))
    assert failure.ByteSize() < LIMIT
    assert failure.message.startswith(f"first {said[:100]}")
    info = failure.application_failure_info
    assert info.type == "Away"
    [kept] = CONVERTER.payload_converter.from_payloads(info.details.payloads)
    assert kept == errors


def test_a_short_failure_is_left_as_it_is() -> None:
    error = caught(ValueError("in front"), caught(KeyError("behind")))
    failure = converted(error)
    trace = "\n".join(traceback.format_tb(error.__traceback__))
    assert (failure.message, failure.stack_trace) == ("in front", trace)
    assert failure.cause.message == "'behind'"
    assert not failure.cause.HasField("cause")


def test_what_was_on_the_way_is_a_cause_too_unless_it_was_left_out() -> None:
    def fails(*, quietly: bool) -> None:
        try:
            deep(0, "behind")
        except ValueError:
            if quietly:
                raise RuntimeError("in front") from None
            raise RuntimeError("in front")  # noqa: B904 (that is what is under test)

    for quietly in (True, False):
        with pytest.raises(RuntimeError) as raised:
            fails(quietly=quietly)
        assert converted(raised.value).cause.message == ("" if quietly else "behind")


def test_a_long_traceback_keeps_where_it_began_and_where_it_was_raised() -> None:
    trace = converted(chain(0, "boom")).stack_trace
    assert trace.lstrip().startswith("File")
    assert "\n...\n" in trace
    assert trace.rstrip().endswith("raise ValueError(words)")
