"""How `orderfleet-wait` waits; the checks themselves are tested with the real servers."""

import asyncio
from collections.abc import Callable, Iterable

import pytest
from structlog.testing import capture_logs

from orderfleet.runtime import wait
from orderfleet.settings import CommonSettings

Script = Callable[..., None]


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> Script:
    """Let the checks of each name return these reasons one after the other, then nothing."""
    monkeypatch.setattr(wait, "_POLL", 0.01)

    def script(**names: Iterable[str]) -> None:
        reasons = {name: iter(missing) for name, missing in names.items()}

        def check(name: str) -> Callable[[CommonSettings], object]:
            async def check_once(_: CommonSettings) -> str:
                return next(reasons[name], "")

            return check_once

        monkeypatch.setattr(wait, "_CHECKS", {name: check(name) for name in names})

    return script


async def waited(seconds: float, *names: str) -> list[str]:
    """Wait, and return what was logged as missing."""
    with capture_logs() as logged:
        await wait.wait(CommonSettings(start_wait_seconds=seconds), names)
    assert [line["event"] for line in logged].count("ready") == 1
    assert logged[-1]["waited_for"] == names
    return [line["missing"] for line in logged[:-1]]


async def test_what_is_missing_is_logged_when_it_changes_and_again_after_a_while(
    checks: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wait, "_LOG_CHANGED", 0)
    checks(postgres=["away", "away", "old", "old", "old"])
    assert await waited(5, "postgres") == ["away", "old"]
    monkeypatch.setattr(wait, "_LOG_AGAIN", 0.1)
    checks(postgres=["away"] * 50)
    assert 2 < len(await waited(30, "postgres")) < 25


async def test_what_changes_all_the_time_does_not_fill_the_log(checks: Script) -> None:
    checks(postgres=map(str, range(20)))
    assert await waited(5, "postgres") == ["0"]


async def test_it_waits_for_all_names_at_once_and_reports_every_missing_one(checks: Script) -> None:
    checks(postgres=["away"] * 1000, temporal=["away too"] * 1000, other=["away"])
    with pytest.raises(TimeoutError, match=r"^away; away too$"):
        await wait.wait(CommonSettings(start_wait_seconds=0.1), ["postgres", "temporal", "other"])


async def test_without_time_it_checks_once(checks: Script) -> None:
    checks(postgres=[])
    assert await waited(0, "postgres") == []
    checks(postgres=["away"])
    with pytest.raises(TimeoutError, match=r"^away$"):
        await wait.wait(CommonSettings(start_wait_seconds=0), ["postgres"])


async def test_a_check_that_hangs_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang(_: CommonSettings) -> str:
        await asyncio.sleep(60)
        return ""

    monkeypatch.setattr(wait, "_CHECKS", {"postgres": hang})
    monkeypatch.setattr(wait, "_CHECK_SECONDS", 0.05)
    with pytest.raises(TimeoutError, match=r"^Postgres: no answer within 0\.05 s$"):
        await wait.wait(CommonSettings(start_wait_seconds=0), ["postgres"])
