"""What is away for a moment costs no attempt; what is refused or hangs is not asked again."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput

from orderfleet.domain import policies
from orderfleet.gateways.protocols import (
    GatewayRefusedError,
    GatewayUnavailableError,
    GatewayUnknownError,
)
from orderfleet.temporal.attempts import AttemptsInterceptor, attempt_limit, step_left
from orderfleet.temporal.retries import TransientRetryInterceptor

GIVEN = ExecuteActivityInput(fn=lambda: None, args=[], executor=None, headers={})
AWAY = GatewayUnavailableError("503")


class Activity(ActivityInboundInterceptor):
    """The activity itself: raises one after another, then works."""

    def __init__(self, *outcomes: Any) -> None:
        self._outcomes = iter(outcomes)
        self.tries = 0
        self.again = asyncio.Event()

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002
        self.tries += 1
        if self.tries > 1:
            self.again.set()
        outcome = next(self._outcomes, "done")
        if isinstance(outcome, BaseException):
            raise outcome
        return await outcome() if callable(outcome) else outcome


def endless(outcome: Any) -> Activity:
    return Activity(*[outcome] * 1000)


async def hang() -> None:
    await asyncio.Event().wait()


def environment(
    limit: float = 4.0, step: float | None = 12.0, attempt: int = 1
) -> ActivityEnvironment:
    found = ActivityEnvironment()
    found.info = replace(
        found.info,
        attempt=attempt,
        start_to_close_timeout=timedelta(seconds=limit),
        schedule_to_close_timeout=None if step is None else timedelta(seconds=step),
        heartbeat_timeout=policies.HEARTBEAT_TIMEOUT,
    )
    return found


async def run(found: ActivityEnvironment, innermost: Activity) -> Any:
    retrying = TransientRetryInterceptor().intercept_activity(innermost)
    chain = AttemptsInterceptor().intercept_activity(retrying)
    return await found.run(chain.execute_activity, GIVEN)


async def failed(found: ActivityEnvironment, innermost: Activity) -> ApplicationError:
    with pytest.raises(ApplicationError) as raised:
        await run(found, innermost)
    return raised.value


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policies, "TRANSIENT_RETRY_TIME", timedelta(seconds=0.3))
    monkeypatch.setattr(policies, "TRANSIENT_FIRST_PAUSE", timedelta(milliseconds=5))
    monkeypatch.setattr(policies, "TRANSIENT_LONGEST_PAUSE", timedelta(milliseconds=50))


@pytest.mark.parametrize(
    "error",
    [
        AWAY,
        GatewayUnavailableError("429", retry_after=0.0),
        GatewayUnavailableError("429", retry_after=0.05),
        ConnectionRefusedError(),
        asyncpg.ConnectionDoesNotExistError("gone"),
        asyncpg.CannotConnectNowError("starting up"),
        asyncpg.AdminShutdownError("going"),
        asyncpg.TooManyConnectionsError("full"),
    ],
)
@pytest.mark.usefixtures("quick")
async def test_what_is_away_is_asked_again_within_the_attempt(error: Exception) -> None:
    innermost = Activity(error, error, error)
    assert await run(environment(), innermost) == "done"
    assert innermost.tries == 4


@pytest.mark.parametrize(
    "error",
    [
        GatewayRefusedError("no"),
        GatewayUnknownError("reply lost"),
        ApplicationError("closed", non_retryable=True),
        TimeoutError("no answer"),
        RuntimeError("a bug"),
        asyncpg.UniqueViolationError("twice"),
        # Longer than an attempt may wait: it is waited for between two.
        GatewayUnavailableError("429", retry_after=30.0),
    ],
)
@pytest.mark.usefixtures("quick")
async def test_all_else_is_left_to_the_next_attempt(error: Exception) -> None:
    innermost = Activity(error)
    await failed(environment(), innermost)
    assert innermost.tries == 1


@pytest.mark.usefixtures("quick")
async def test_an_attempt_ends_in_time_with_the_words_of_what_was_away() -> None:
    innermost = endless(AWAY)
    loop = asyncio.get_running_loop()
    began = loop.time()
    error = await failed(environment(), innermost)
    assert 0.3 <= loop.time() - began < 2
    assert innermost.tries > 3
    assert (error.message, error.type) == ("503", "GatewayUnavailableError")


@pytest.mark.parametrize("asked", [0.0, -1.0, float("nan"), 1e-9])
@pytest.mark.usefixtures("quick")
async def test_a_gateway_that_asks_for_no_wait_is_not_asked_without_a_pause(asked: float) -> None:
    innermost = endless(GatewayUnavailableError("503", retry_after=asked))
    await failed(environment(), innermost)
    assert 3 < innermost.tries < 100


@pytest.mark.parametrize(
    ("given", "kept"), [(float("inf"), 3600.0), (1e300, 3600.0), (float("nan"), None), (-1.0, None)]
)
def test_what_an_own_gateway_asks_for_is_a_time(given: float, kept: float | None) -> None:
    assert GatewayUnavailableError("503", retry_after=given).retry_after == kept


async def test_a_try_that_hangs_after_one_that_was_away_leaves_its_words() -> None:
    innermost = Activity(AWAY, hang)
    loop = asyncio.get_running_loop()
    began = loop.time()
    error = await failed(environment(limit=1.0), innermost)
    assert innermost.tries == 2
    # Before the server would cut it off, at 1 s.
    assert loop.time() - began < 1
    assert error.message == "503"


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("in_a_try", [True, False])
async def test_a_cancellation_ends_it_at_once(in_a_try: bool) -> None:
    innermost = Activity(AWAY, hang) if in_a_try else endless(AWAY)
    found = environment(limit=60)
    running = asyncio.ensure_future(run(found, innermost))
    await innermost.again.wait()
    found.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    tries = innermost.tries
    await asyncio.sleep(0.1)
    assert innermost.tries == tries


@pytest.mark.usefixtures("quick")
async def test_it_beats_while_it_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "orderfleet.temporal.heartbeats.HEARTBEAT_INTERVAL", timedelta(seconds=0.02)
    )
    beats: list[tuple[Any, ...]] = []
    found = environment()
    found.on_heartbeat = lambda *details: beats.append(details)
    await failed(found, endless(AWAY))
    assert len(beats) > 3


async def test_an_activity_without_a_limit_is_not_retried() -> None:
    found = environment(step=None)
    found.info = replace(found.info, start_to_close_timeout=None)
    innermost = Activity(AWAY)
    await failed(found, innermost)
    assert innermost.tries == 1


@pytest.mark.parametrize(
    ("attempt", "left", "pause"),
    [(1, 12, 1.5), (1, 8, 1.0), (1, 1, 0.2), (2, 12, 6.0), (2, 7, 3.5), (2, 0.5, 0.4), (2, 300, 6)],
)
def test_the_pause_grows_with_the_time_that_is_left(
    attempt: int, left: float, pause: float
) -> None:
    assert policies.retry_pause(attempt, timedelta(seconds=left)).total_seconds() == pause


def test_four_seconds_of_absence_leave_an_attempt_to_an_order_that_has_eight() -> None:
    left = timedelta(seconds=8)
    second = policies.retry_pause(1, left)
    third = second + policies.retry_pause(2, left - second)
    assert timedelta(seconds=4) < third < timedelta(seconds=6)


@pytest.mark.parametrize(
    ("error", "attempt", "low", "high"),
    [
        (GatewayUnknownError("reply lost"), 1, 1.4, 1.5),
        (GatewayUnknownError("reply lost"), 2, 5.9, 6.0),
        (GatewayUnavailableError("429", retry_after=5.0), 1, 5.0, 5.0),
        # All but a second.
        (GatewayUnavailableError("429", retry_after=3600.0), 1, 10.9, 11.0),
        (GatewayUnavailableError("429", retry_after=3600.0), 2, 10.9, 11.0),
    ],
)
async def test_the_server_is_told_how_long_to_wait(
    error: Exception, attempt: int, low: float, high: float
) -> None:
    delay = (await failed(environment(attempt=attempt), Activity(error))).next_retry_delay
    assert delay is not None
    assert low <= delay.total_seconds() <= high


@pytest.mark.parametrize(
    ("error", "step"),
    [
        # It has spent its time.
        (TimeoutError("no answer"), 12.0),
        (ApplicationError("closed", non_retryable=True), 12.0),
        # What has no end goes by the policy.
        (GatewayUnknownError("reply lost"), None),
    ],
)
async def test_else_the_server_waits_as_its_policy_says(
    error: Exception, step: float | None
) -> None:
    assert (await failed(environment(step=step), Activity(error))).next_retry_delay is None


async def test_where_there_is_no_end_a_gateway_is_given_a_minute() -> None:
    error = GatewayUnavailableError("429", retry_after=3600.0)
    delay = (await failed(environment(step=None), Activity(error))).next_retry_delay
    assert delay == timedelta(minutes=1)


def test_what_a_step_had_left_when_an_attempt_began() -> None:
    found = environment(limit=4, step=12)
    late = found.info.scheduled_time + timedelta(seconds=10)
    info = replace(found.info, started_time=late)
    assert step_left(info) == attempt_limit(info) == timedelta(seconds=2)
    assert attempt_limit(found.info) == timedelta(seconds=4)
    too_late = replace(info, started_time=late + timedelta(seconds=5))
    assert step_left(too_late) == policies.SHORTEST_STEP
