"""What every activity runs inside: its beats, the count of its attempts, and injected faults."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    RetryState,
    TimeoutType,
)
from temporalio.exceptions import TimeoutError as TemporalTimeoutError
from temporalio.testing import ActivityEnvironment
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput

from orderfleet.domain.contract import StepStatus
from orderfleet.domain.policies import HEARTBEAT_TIMEOUT
from orderfleet.temporal.attempts import (
    LOST,
    AttemptsInterceptor,
    StepResult,
    attempt_id,
    attempt_of,
)
from orderfleet.temporal.fault_injection import (
    FLAKY_ACTIVITIES,
    FlakyInterceptor,
    ForcedFailureError,
)
from orderfleet.temporal.steps import StepFailedError

GIVEN = ExecuteActivityInput(fn=lambda: None, args=[], executor=None, headers={})


class Activity(ActivityInboundInterceptor):
    """The innermost link: the activity itself."""

    def __init__(self, outcome: Any) -> None:
        self._outcome = outcome

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return await self._outcome() if callable(self._outcome) else self._outcome


def environment(
    *,
    attempt: int = 1,
    details: tuple[str | float, ...] = (),
    kind: str = "charge",
    order_id: str = "o-1",
    limit: float = 4,
    heartbeat: timedelta | None = HEARTBEAT_TIMEOUT,
    local: int = 0,
) -> tuple[ActivityEnvironment, list[tuple[Any, ...]]]:
    heartbeats: list[tuple[Any, ...]] = []
    context = ActivityEnvironment()
    context.info = replace(
        context.info,
        attempt=attempt,
        heartbeat_details=details,
        heartbeat_timeout=heartbeat,
        start_to_close_timeout=timedelta(seconds=limit),
        activity_type=kind,
        activity_id=attempt_id(kind, local) if local else "1",
        is_local=bool(local),
        workflow_id=f"{order_id}/shipping/1",
    )
    context.on_heartbeat = lambda *details: heartbeats.append(details)
    return context, heartbeats


async def run(context: ActivityEnvironment, outcome: Any) -> Any:
    chain = AttemptsInterceptor().intercept_activity(Activity(outcome))
    return await context.run(chain.execute_activity, GIVEN)


async def test_a_first_attempt_that_works_costs_nothing() -> None:
    context, heartbeats = environment()
    result = await run(context, StepResult())
    assert result.status == StepStatus(1)
    assert heartbeats == []


async def test_a_result_has_the_errors_of_the_attempts_before() -> None:
    context, _ = environment(attempt=3, details=("one", "two"))
    assert (await run(context, StepResult())).status == StepStatus(3, ["one", "two"], "two")


@pytest.mark.parametrize(
    ("details", "errors"),
    [
        ((), (LOST, LOST)),
        (("one",), ("one", LOST)),
        # An older release sent how long the attempt had run, too.
        (("one", 2.4), ("one", LOST)),
        (("one", "two"), ("one", "two")),
    ],
)
async def test_the_end_of_an_attempt_that_left_no_error_is_not_guessed(
    details: tuple[str | float, ...], errors: tuple[str, ...]
) -> None:
    context, heartbeats = environment(attempt=3, details=details)
    assert (await run(context, StepResult())).errors == errors
    # Sent at once, as this attempt may leave no error either.
    assert heartbeats == ([errors] if LOST in errors else [])


async def test_an_attempt_whose_count_was_reset_keeps_the_errors_before() -> None:
    context, heartbeats = environment(attempt=1, details=("one", "two"))
    assert (await run(context, StepResult())).errors == ("one", "two")
    assert heartbeats == []


def failed_activity(cause: BaseException, retry_state: RetryState) -> StepFailedError:
    error = ActivityError(
        "failed",
        scheduled_event_id=5,
        started_event_id=6,
        identity="worker",
        activity_type="charge",
        activity_id="1",
        retry_state=retry_state,
    )
    error.__cause__ = cause
    return StepFailedError(error)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (TimeoutType.HEARTBEAT, LOST),
        (TimeoutType.START_TO_CLOSE, "timed out"),
        (TimeoutType.SCHEDULE_TO_CLOSE, "timed out"),
    ],
)
@pytest.mark.parametrize("retry_state", [RetryState.MAXIMUM_ATTEMPTS_REACHED, RetryState.TIMEOUT])
def test_a_step_whose_last_attempt_left_no_error(
    kind: TimeoutType, text: str, retry_state: RetryState
) -> None:
    details = ["one", "two", 1.5]
    timeout = TemporalTimeoutError("late", type=kind, last_heartbeat_details=details)
    failed = failed_activity(timeout, retry_state)
    assert str(failed) == text
    assert failed.status == StepStatus(3, ["one", "two", text], text)
    assert (failed.kind, failed.permanent) == (None, False)
    assert failed.out_of_time == (
        retry_state is RetryState.TIMEOUT or kind is TimeoutType.SCHEDULE_TO_CLOSE
    )


def test_a_step_whose_last_attempt_failed() -> None:
    error = ApplicationError("two", ["one", "two"], type="declined", non_retryable=True)
    failed = failed_activity(error, RetryState.NON_RETRYABLE_FAILURE)
    assert failed.status == StepStatus(2, ["one", "two"], "two")
    assert (failed.kind, failed.permanent, failed.out_of_time) == ("declined", True, False)
    # No time for the pause before the next attempt.
    assert failed_activity(error, RetryState.TIMEOUT).out_of_time


def test_a_failure_from_outside_the_interceptor_is_one_attempt() -> None:
    error = ApplicationError("no such activity", type="NotFoundError")
    failed = failed_activity(error, RetryState.MAXIMUM_ATTEMPTS_REACHED)
    assert failed.status.errors == ["NotFoundError: no such activity"]


def slept(seconds: float) -> Callable[[], Awaitable[StepResult]]:
    async def outcome() -> StepResult:
        await asyncio.sleep(seconds)
        return StepResult()

    return outcome


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beat every 20 ms."""
    interval = timedelta(seconds=0.02)
    monkeypatch.setattr("orderfleet.temporal.heartbeats.HEARTBEAT_INTERVAL", interval)


@pytest.mark.usefixtures("quick")
async def test_a_long_attempt_beats_with_the_errors_before() -> None:
    context, heartbeats = environment(attempt=3, details=("one", "two"))
    await run(context, slept(0.11))
    assert len(heartbeats) >= 3
    assert set(heartbeats) == {("one", "two")}


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("heartbeat", [HEARTBEAT_TIMEOUT, None])
async def test_no_beat_comes_after_the_end_nor_without_a_timeout(
    heartbeat: timedelta | None,
) -> None:
    context, heartbeats = environment(heartbeat=heartbeat)
    await run(context, slept(0.05 if heartbeat is None else 0.0))
    await asyncio.sleep(0.05)
    assert heartbeats == []


@pytest.mark.usefixtures("quick")
async def test_an_attempt_that_is_cancelled_beats_no_more() -> None:
    context, heartbeats = environment()
    task = asyncio.ensure_future(run(context, slept(60)))
    await asyncio.sleep(0.05)
    context.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    beats = len(heartbeats)
    assert beats
    await asyncio.sleep(0.05)
    assert len(heartbeats) == beats


@pytest.mark.usefixtures("quick")
async def test_the_last_beat_of_a_failure_is_its_error() -> None:
    async def outcome() -> None:
        await asyncio.sleep(0.05)
        raise ValueError("boom")

    context, heartbeats = environment()
    with pytest.raises(ApplicationError):
        await run(context, outcome)
    assert len(heartbeats) >= 2
    assert heartbeats[-1] == ("boom",)


async def test_a_failure_tells_all_and_stays_what_it_is() -> None:
    context, heartbeats = environment(attempt=2, details=("one",))
    failure = ApplicationError("no money", type="declined", non_retryable=True)
    with pytest.raises(ApplicationError) as raised:
        await run(context, failure)
    assert (raised.value.message, raised.value.type) == ("no money", "declined")
    assert raised.value.non_retryable
    assert raised.value.details == (["one", "no money"],)
    assert heartbeats == [("one", "no money")]


async def test_a_plain_error_may_be_retried_and_long_ones_are_cut() -> None:
    context, heartbeats = environment()
    with pytest.raises(ApplicationError) as raised:
        await run(context, ValueError("x" * 1000))
    assert raised.value.type == "ValueError"
    assert not raised.value.non_retryable
    assert heartbeats == [("x" * 300,)]


async def test_an_error_without_words_is_told_by_its_name() -> None:
    context, heartbeats = environment()
    with pytest.raises(ApplicationError):
        await run(context, TimeoutError())
    assert heartbeats == [("TimeoutError",)]


async def test_a_local_attempt_has_no_heartbeat_and_its_own_error_only() -> None:
    context, heartbeats = environment(local=2, heartbeat=None)
    assert (await run(context, StepResult())).status == StepStatus(1)
    with pytest.raises(ApplicationError) as raised:
        await run(context, ValueError("x" * 1000))
    assert raised.value.type == "ValueError"
    assert raised.value.next_retry_delay is None
    assert StepFailedError(raised.value).status == StepStatus(1, ["x" * 300], "x" * 300)
    assert heartbeats == []


@pytest.mark.parametrize(("attempt", "local", "number"), [(3, 0, 3), (1, 2, 2)])
def test_which_attempt_it_is_says_the_sdk_or_for_a_local_one_its_id(
    attempt: int, local: int, number: int
) -> None:
    context, _ = environment(attempt=attempt, local=local)
    assert attempt_of(context.info) == number


async def flaky_outcome(seed: int, pattern: str = "*", kind: str = "charge") -> str:
    context, _ = environment(kind=kind)
    chain = FlakyInterceptor(pattern, chance=random.Random(seed)).intercept_activity(Activity("ok"))
    task = asyncio.ensure_future(context.run(chain.execute_activity, GIVEN))
    for _ in range(10):
        await asyncio.sleep(0)
    if not task.done():
        task.cancel()
        return "hang"
    error = task.exception()
    if isinstance(error, ForcedFailureError):
        return str(error)
    result: str = task.result()
    return result


async def test_flaky_raises_hangs_and_goes_on_a_third_each() -> None:
    outcomes = Counter([await flaky_outcome(seed) for seed in range(600)])
    assert set(outcomes) == {"Forced failure for testing", "hang", "ok"}
    assert all(140 < number < 260 for number in outcomes.values())


@pytest.mark.parametrize("kind", ["end", "refund", "recall", "cancel", "note", "reconcile"])
async def test_flaky_never_touches_what_brings_an_order_to_its_end(kind: str) -> None:
    assert kind not in FLAKY_ACTIVITIES
    assert {await flaky_outcome(seed, kind=kind) for seed in range(30)} == {"ok"}


async def test_flaky_is_narrowed_to_the_orders_that_match() -> None:
    assert {await flaky_outcome(seed, pattern="other-*") for seed in range(30)} == {"ok"}
    assert "hang" in {await flaky_outcome(seed, pattern="o-*") for seed in range(30)}
