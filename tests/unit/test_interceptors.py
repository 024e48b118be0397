"""What every activity runs inside: the count of its attempts, and injected faults."""

import asyncio
import random
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput

from orderfleet.attempts import AttemptsInterceptor, StepResult
from orderfleet.faults import FLAKY_ACTIVITIES, FlakyInterceptor, ForcedFailureError
from orderfleet.messages import StepStatus

GIVEN = ExecuteActivityInput(fn=lambda: None, args=[], executor=None, headers={})


class Activity(ActivityInboundInterceptor):
    """The innermost link: the activity itself."""

    def __init__(self, outcome: Any) -> None:
        self._outcome = outcome

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome


def environment(
    *, attempt: int = 1, told: tuple[str, ...] = (), kind: str = "charge", order_id: str = "o-1"
) -> tuple[ActivityEnvironment, list[tuple[Any, ...]]]:
    heartbeats: list[tuple[Any, ...]] = []
    found = ActivityEnvironment()
    found.info = replace(
        found.info,
        attempt=attempt,
        heartbeat_details=told,
        activity_type=kind,
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


async def test_an_attempt_that_left_no_word_timed_out() -> None:
    found, heartbeats = environment(attempt=3, told=("one",))
    assert (await run(found, StepResult())).errors == ("one", "timed out")
    # Kept for the next one at once, as this attempt may leave no word either.
    assert heartbeats == [("one", "timed out")]


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


@pytest.mark.parametrize("kind", ["end", "refund", "recall", "cancel", "note", "settle"])
async def test_flaky_never_touches_what_brings_an_order_to_its_end(kind: str) -> None:
    assert kind not in FLAKY_ACTIVITIES
    assert {await flaky_outcome(seed, kind=kind) for seed in range(30)} == {"ok"}


async def test_flaky_is_narrowed_to_the_orders_that_match() -> None:
    assert {await flaky_outcome(seed, pattern="other-*") for seed in range(30)} == {"ok"}
    assert "hang" in {await flaky_outcome(seed, pattern="o-*") for seed in range(30)}
