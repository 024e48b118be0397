import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from orderfleet_cli.errors import CommandError
from orderfleet_cli.local.processes import (
    Process,
    Program,
    answers,
    environment,
    executable,
    run_once,
    together,
)

_SLEEP = "import time; time.sleep(60)"


async def _at_once() -> bool:
    return True


async def _never() -> bool:
    return False


def _program(code: str, ready: Callable[[], Awaitable[bool]] = _at_once) -> Program:
    return Program(name="api", argv=(sys.executable, "-c", code), env=os.environ, ready=ready)


@pytest.fixture
async def sleeper(tmp_path: Path) -> AsyncIterator[Process]:
    process = Process(_program(_SLEEP), tmp_path)
    await process.start()
    yield process
    await process.stop(signal.SIGKILL)


async def test_a_process_is_stopped_by_its_signal(sleeper: Process, tmp_path: Path) -> None:
    assert (tmp_path / "run" / "api.json").exists()
    assert await sleeper.stop() == -signal.SIGTERM
    assert not (tmp_path / "run" / "api.json").exists()
    with pytest.raises(CommandError, match="api is not running"):
        _ = sleeper.pid


async def test_a_process_that_ends_before_it_is_ready_shows_its_last_line(tmp_path: Path) -> None:
    process = Process(_program("print('x'); print('DATABASE_URL: bad'); exit(2)", _never), tmp_path)
    with pytest.raises(CommandError, match=r"api exited with status 2: DATABASE_URL: bad \(log: "):
        await process.start()


async def test_a_process_that_dies_is_started_again(sleeper: Process) -> None:
    messages: asyncio.Queue[str] = asyncio.Queue()
    first = sleeper.pid
    keeping = asyncio.create_task(sleeper.keep(messages.put_nowait))
    os.kill(first, signal.SIGKILL)
    assert "api was killed by SIGKILL" in await asyncio.wait_for(messages.get(), 10)
    assert "api restarted" in await asyncio.wait_for(messages.get(), 10)
    keeping.cancel()
    assert sleeper.pid != first


async def test_of_a_long_line_the_end_is_shown_where_the_cause_is(tmp_path: Path) -> None:
    line = f"could not build {'x' * 1000}: bind: address already in use"
    process = Process(_program(f"print({line!r}); exit(1)", _never), tmp_path)
    with pytest.raises(
        CommandError, match=r"status 1: \.\.\.x+: bind: address already in use \(log: "
    ):
        await process.start()


async def test_a_command_that_fails_shows_the_reason(tmp_path: Path) -> None:
    argv = (sys.executable, "-c", "exit('no space left')")
    with pytest.raises(CommandError, match="initdb exited with status 1: no space left"):
        await run_once("initdb", argv, os.environ, tmp_path)


async def test_the_first_failure_ends_the_others() -> None:
    ended = asyncio.Event()

    async def fails() -> None:
        await asyncio.sleep(0)
        raise CommandError("no")

    async def runs() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    with pytest.raises(CommandError, match="no"):
        await together(runs(), fails())
    assert ended.is_set()


async def test_without_a_listener_there_is_no_answer(unused_tcp_port: int) -> None:
    assert not await answers(unused_tcp_port, "/readyz")


def test_a_missing_program_is_one_line() -> None:
    with pytest.raises(CommandError, match="`no-such-program` is not installed"):
        executable("no-such-program")


def test_variables_of_other_servers_are_not_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "TEMPORAL_TARGET", "TEMPORAL_API_KEY", "PGSSLMODE"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("LOG_LEVEL", "info")
    passed = environment({"LOG_LEVEL": "debug", "TEMPORAL_ADDRESS": "elsewhere:7233"})
    assert passed["LOG_LEVEL"] == "debug"
    assert not [name for name in passed if name.startswith(("PG", "TEMPORAL_", "DATABASE_"))]


async def test_the_reason_is_shown_though_more_lines_follow(tmp_path: Path) -> None:
    code = "print('old FATAL: x'); print('FATAL:  no sockets'); print('LOG: shut down'); exit(1)"
    process = Process(_program(code, _never), tmp_path)
    with pytest.raises(CommandError, match="status 1: FATAL:  no sockets "):
        await process.start()
