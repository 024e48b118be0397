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
    AttemptsInterceptor,
    StepResult,
    attempt_id,
    attempt_of,
    failed_step,
)
from orderfleet.temporal.fault_injection import (
    FLAKY_ACTIVITIES,
    FlakyInterceptor,
    ForcedFailureError,
)

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
    told: tuple[str | float, ...] = (),
    kind: str = "charge",
    order_id: str = "o-1",
    limit: float = 4,
    heartbeat: timedelta | None = HEARTBEAT_TIMEOUT,
    local: int = 0,
) -> tuple[ActivityEnvironment, list[tuple[Any, ...]]]:
    heartbeats: list[tuple[Any, ...]] = []
    found = ActivityEnvironment()
    found.info = replace(
        found.info,
        attempt=attempt,
        heartbeat_details=told,
        heartbeat_timeout=heartbeat,
        start_to_close_timeout=timedelta(seconds=limit),
        activity_type=kind,
        activity_id=attempt_id(kind, local) if local else "1",
        is_local=bool(local),
        workflow_id=f"{order_id}/shipping/1",
    )
    found.on_heartbeat = lambda *details: heartbeats.append(details)
    return found, heartbeats


async def run(found: ActivityEnvironment, outcome: Any) -> Any:
    chain = AttemptsInterceptor().intercept_activity(Activity(outcome))
    return await found.run(chain.execute_activity, GIVEN)


async def test_a_first_attempt_that_works_costs_nothing() -> None:
    found, heartbeats = environment()
    result = await run(found, StepResult())
    assert result.status == StepStatus(1)
    assert heartbeats == []


async def test_a_result_tells_of_the_attempts_before_it() -> None:
    found, _ = environment(attempt=3, told=("one", "two"))
    assert (await run(found, StepResult())).status == StepStatus(3, ["one", "two"], "two")


@pytest.mark.parametrize(
    ("told", "limit", "word"),
    [
        (("one",), 4, "worker lost"),
        (("one", 0.5), 4, "worker lost"),
        (("one", 2.4), 4, "worker lost"),
        # Silent for less than the heartbeat's timeout when its time was over.
        (("one", 2.5), 4, "timed out"),
        (("one", 3.5), 4, "timed out"),
        (("one",), 1.5, "timed out"),
    ],
)
async def test_an_attempt_that_left_no_word_was_lost_or_took_too_long(
    told: tuple[str | float, ...], limit: float, word: str
) -> None:
    found, heartbeats = environment(attempt=3, told=told, limit=limit)
    assert (await run(found, StepResult())).errors == ("one", word)
    # Kept for the next one at once, as this attempt may leave no word either.
    assert heartbeats == [("one", word)]


async def test_of_two_attempts_without_a_word_the_beats_are_the_first_ones() -> None:
    found, heartbeats = environment(attempt=3, told=(3.5,))
    assert (await run(found, StepResult())).errors == ("timed out", "worker lost")
    assert heartbeats == [("timed out", "worker lost")]


async def test_an_attempt_without_a_heartbeat_timeout_can_only_have_timed_out() -> None:
    found, _ = environment(attempt=2, heartbeat=None)
    assert (await run(found, StepResult())).errors == ("timed out",)


async def test_an_attempt_whose_count_was_reset_keeps_what_it_was_told() -> None:
    found, heartbeats = environment(attempt=1, told=("one", "two"))
    assert (await run(found, StepResult())).errors == ("one", "two")
    assert heartbeats == []


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        (TimeoutType.HEARTBEAT, "worker lost"),
        (TimeoutType.START_TO_CLOSE, "timed out"),
        (TimeoutType.SCHEDULE_TO_CLOSE, "timed out"),
    ],
)
def test_of_the_last_attempt_the_server_tells_what_ended_it(kind: TimeoutType, word: str) -> None:
    error = ActivityError(
        "failed",
        scheduled_event_id=5,
        started_event_id=6,
        identity="worker",
        activity_type="charge",
        activity_id="1",
        retry_state=RetryState.MAXIMUM_ATTEMPTS_REACHED,
    )
    left = ["one", "two", 1.5]
    error.__cause__ = TemporalTimeoutError("late", type=kind, last_heartbeat_details=left)
    assert failed_step(error) == (StepStatus(3, ["one", "two", word], word), word)


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
async def test_a_long_attempt_beats_with_the_errors_and_how_long_it_has_run() -> None:
    found, heartbeats = environment(attempt=3, told=("one", "two"))
    await run(found, slept(0.11))
    assert len(heartbeats) >= 3
    assert {beat[:-1] for beat in heartbeats} == {("one", "two")}
    ran = [beat[-1] for beat in heartbeats]
    assert ran == sorted(ran)
    assert 0.02 <= ran[0] < ran[-1]


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("heartbeat", [HEARTBEAT_TIMEOUT, None])
async def test_no_beat_comes_after_the_end_nor_without_a_timeout(
    heartbeat: timedelta | None,
) -> None:
    found, heartbeats = environment(heartbeat=heartbeat)
    await run(found, slept(0.05 if heartbeat is None else 0.0))
    await asyncio.sleep(0.05)
    assert heartbeats == []


@pytest.mark.usefixtures("quick")
async def test_an_attempt_that_is_cancelled_beats_no_more() -> None:
    found, heartbeats = environment()
    running = asyncio.ensure_future(run(found, slept(60)))
    await asyncio.sleep(0.05)
    found.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    beats = len(heartbeats)
    assert beats
    await asyncio.sleep(0.05)
    assert len(heartbeats) == beats


@pytest.mark.usefixtures("quick")
async def test_the_last_beat_of_a_failure_is_its_error() -> None:
    async def outcome() -> None:
        await asyncio.sleep(0.05)
        raise ValueError("boom")

    found, heartbeats = environment()
    with pytest.raises(ApplicationError):
        await run(found, outcome)
    assert len(heartbeats) >= 2
    assert heartbeats[-1] == ("boom",)


async def test_a_failure_tells_all_and_stays_what_it_is() -> None:
    found, heartbeats = environment(attempt=2, told=("one",))
    failure = ApplicationError("no money", type="declined", non_retryable=True)
    with pytest.raises(ApplicationError) as raised:
        await run(found, failure)
    assert (raised.value.message, raised.value.type) == ("no money", "declined")
    assert raised.value.non_retryable
    assert raised.value.details == (["one", "no money"],)
    assert heartbeats == [("one", "no money")]


async def test_a_plain_error_may_be_retried_and_long_ones_are_cut() -> None:
    found, heartbeats = environment()
    with pytest.raises(ApplicationError) as raised:
        await run(found, ValueError("x" * 1000))
    assert raised.value.type == "ValueError"
    assert not raised.value.non_retryable
    assert heartbeats == [("x" * 300,)]


async def test_an_error_without_words_is_told_by_its_name() -> None:
    found, heartbeats = environment()
    with pytest.raises(ApplicationError):
        await run(found, TimeoutError())
    assert heartbeats == [("TimeoutError",)]


async def test_a_local_attempt_has_no_heartbeat_and_tells_its_own_failure_only() -> None:
    found, heartbeats = environment(local=2, heartbeat=None)
    assert (await run(found, StepResult())).status == StepStatus(1)
    with pytest.raises(ApplicationError) as raised:
        await run(found, ValueError("x" * 1000))
    assert raised.value.type == "ValueError"
    assert failed_step(raised.value) == (StepStatus(1, ["x" * 300], "x" * 300), "x" * 300)
    assert heartbeats == []


@pytest.mark.parametrize(("attempt", "local", "number"), [(3, 0, 3), (1, 2, 2)])
def test_which_attempt_it_is_says_the_sdk_or_for_a_local_one_its_id(
    attempt: int, local: int, number: int
) -> None:
    found, _ = environment(attempt=attempt, local=local)
    assert attempt_of(found.info) == number


async def flaky_outcome(seed: int, pattern: str = "*", kind: str = "charge") -> str:
    found, _ = environment(kind=kind)
    chain = FlakyInterceptor(pattern, chance=random.Random(seed)).intercept_activity(Activity("ok"))
    task = asyncio.ensure_future(found.run(chain.execute_activity, GIVEN))
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
    found = Counter([await flaky_outcome(seed) for seed in range(600)])
    assert set(found) == {"Forced failure for testing", "hang", "ok"}
    assert all(140 < number < 260 for number in found.values())


@pytest.mark.parametrize("kind", ["end", "refund", "recall", "cancel", "note", "reconcile"])
async def test_flaky_never_touches_what_brings_an_order_to_its_end(kind: str) -> None:
    assert kind not in FLAKY_ACTIVITIES
    assert {await flaky_outcome(seed, kind=kind) for seed in range(30)} == {"ok"}


async def test_flaky_is_narrowed_to_the_orders_that_match() -> None:
    assert {await flaky_outcome(seed, pattern="other-*") for seed in range(30)} == {"ok"}
    assert "hang" in {await flaky_outcome(seed, pattern="o-*") for seed in range(30)}
