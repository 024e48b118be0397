"""How `orderfleet-wait` waits; what it looks at is tested on the real servers."""

import asyncio
from collections.abc import Callable, Iterable, Iterator

import pytest
from structlog.testing import capture_logs

from orderfleet.runtime import wait
from orderfleet.settings import CommonSettings

Looks = Callable[..., None]


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Looks:
    """Let the looks at each name find one thing after the other missing, and then nothing."""
    monkeypatch.setattr(wait, "_POLL", 0.01)

    def script(**names: Iterable[str]) -> None:
        found: dict[str, Iterator[str]] = {name: iter(said) for name, said in names.items()}

        def look(name: str) -> Callable[[CommonSettings], object]:
            async def look_once(_: CommonSettings) -> str:
                return next(found[name], "")

            return look_once

        monkeypatch.setattr(wait, "_LOOKS", {name: look(name) for name in names})

    return script


async def waited(seconds: float, *names: str) -> list[str]:
    """Wait, and return what was logged as missing."""
    with capture_logs() as logged:
        await wait.wait(CommonSettings(start_wait_seconds=seconds), names)
    assert [line["event"] for line in logged].count("all is there") == 1
    assert logged[-1]["waited_for"] == names
    return [line["missing"] for line in logged[:-1]]


async def test_what_is_missing_is_logged_when_it_changes_and_again_after_a_while(
    looks: Looks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wait, "_LOG_CHANGED", 0)
    looks(postgres=["away", "away", "old", "old", "old"])
    assert await waited(5, "postgres") == ["away", "old"]
    monkeypatch.setattr(wait, "_LOG_AGAIN", 0.1)
    looks(postgres=["away"] * 50)
    assert 2 < len(await waited(30, "postgres")) < 25


async def test_what_changes_all_the_time_does_not_fill_the_log(looks: Looks) -> None:
    looks(postgres=map(str, range(20)))
    assert await waited(5, "postgres") == ["0"]


async def test_all_are_waited_for_at_once_and_all_that_is_missing_is_told(looks: Looks) -> None:
    looks(postgres=["away"] * 1000, temporal=["away too"] * 1000, other=["away"])
    with pytest.raises(TimeoutError, match=r"^away; away too$"):
        await wait.wait(CommonSettings(start_wait_seconds=0.1), ["postgres", "temporal", "other"])


async def test_without_time_it_looks_once(looks: Looks) -> None:
    looks(postgres=[])
    assert await waited(0, "postgres") == []
    looks(postgres=["away"])
    with pytest.raises(TimeoutError, match=r"^away$"):
        await wait.wait(CommonSettings(start_wait_seconds=0), ["postgres"])


async def test_a_look_that_hangs_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang(_: CommonSettings) -> str:
        await asyncio.sleep(60)
        return ""

    monkeypatch.setattr(wait, "_LOOKS", {"postgres": hang})
    monkeypatch.setattr(wait, "_LOOK_SECONDS", 0.05)
    with pytest.raises(TimeoutError, match=r"^Postgres: no answer in 0\.05 s$"):
        await wait.wait(CommonSettings(start_wait_seconds=0), ["postgres"])
