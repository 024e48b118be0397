"""Asking until it is enough or the time is over."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from itertools import count
from unittest.mock import AsyncMock

import pytest

from orderfleet.polling import poll, retry


def counting() -> tuple[Callable[[], Awaitable[int]], list[float]]:
    """Return a call that answers 1, 2, 3, ..., and the times of its calls."""
    numbers, called_at = count(1), list[float]()

    async def call() -> int:
        called_at.append(time.monotonic())
        return next(numbers)

    return call, called_at


async def test_it_polls_until_a_result_is_enough() -> None:
    call, called_at = counting()
    misses: list[int] = []
    assert await poll(call, lambda n: n == 3, seconds=10, pause=0.01, on_miss=misses.append) == 3
    assert (len(called_at), misses) == (3, [1, 2])


async def test_a_true_result_is_enough_by_default() -> None:
    results = iter([0, "", "there", "not asked for"])

    async def call() -> object:
        return next(results)

    assert await poll(call, seconds=10, pause=0.01) == "there"


async def test_without_time_it_asks_once_and_reports_no_miss() -> None:
    call, called_at = counting()
    misses: list[int] = []
    assert await poll(call, lambda _: False, seconds=0, on_miss=misses.append) == 1
    assert (len(called_at), misses) == (1, [])


async def test_when_time_is_over_the_last_result_is_returned() -> None:
    call, called_at = counting()
    assert await poll(call, lambda _: False, seconds=0.2, pause=0.05) == len(called_at)
    assert len(called_at) <= 5


async def test_no_pause_begins_that_would_end_too_late() -> None:
    call, _ = counting()
    async with asyncio.timeout(10):
        assert await poll(call, lambda _: False, seconds=20, pause=60) == 1


async def test_pauses_grow_up_to_the_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    call, _ = counting()
    sleep = AsyncMock()
    monkeypatch.setattr(asyncio, "sleep", sleep)
    await poll(call, lambda n: n == 6, seconds=10, pause=0.02, longest_pause=0.08)
    assert [each.args for each in sleep.await_args_list] == [
        (pause,) for pause in (0.02, 0.04, 0.08, 0.08, 0.08)
    ]


async def test_an_error_is_none_of_its_concern() -> None:
    async def call() -> bool:
        raise LookupError

    with pytest.raises(LookupError):
        await poll(call, seconds=10)


async def test_it_retries_what_it_is_to_retry() -> None:
    errors = iter([ConnectionError("refused"), TimeoutError("slow")])
    failures: list[str] = []

    async def call() -> str:
        for error in errors:
            raise error
        return "there"

    def failed(error: Exception) -> None:
        failures.append(str(error))

    answer = await retry(
        call, on=(ConnectionError, TimeoutError), seconds=10, pause=0.01, on_failure=failed
    )
    assert answer == "there"
    assert failures == ["refused", "slow"]


async def test_another_error_is_raised_at_once() -> None:
    calls, _ = counting()

    async def call() -> None:
        raise LookupError(await calls())

    with pytest.raises(LookupError, match="1"):
        await retry(call, on=ConnectionError, seconds=10)


async def test_when_time_is_over_the_last_error_is_raised() -> None:
    calls, called_at = counting()
    failures: list[Exception] = []

    async def call() -> None:
        raise ConnectionError(await calls())

    with pytest.raises(ConnectionError) as raised:
        await retry(call, on=ConnectionError, seconds=0.1, pause=0.02, on_failure=failures.append)
    assert raised.value.args == (len(called_at),)
    assert [error.args for error in failures] == [(n,) for n in range(1, len(called_at))]


async def test_without_time_it_tries_once() -> None:
    calls, called_at = counting()

    async def call() -> None:
        raise ConnectionError(await calls())

    with pytest.raises(ConnectionError):
        await retry(call, on=ConnectionError, seconds=0)
    assert len(called_at) == 1
