"""The life of a process, from the outside."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

_PROGRAM = """
import asyncio, atexit, os, sys
from orderfleet.runtime.process import Lifecycle, run_service

# What a thread of the SDK does to an interpreter that is taken down, now and then.
atexit.register(os.abort)

async def serve(lifecycle: Lifecycle) -> None:
    {body}

run_service("program", serve, drain={drain})
"""
_POLITE = """
    lifecycle.started = True
    print("ready", flush=True)
    await lifecycle.stopping.wait()
    await asyncio.sleep(0.2)
    sys.stdout.write("drained")
"""


@contextmanager
def running(body: str, drain: float = 1.0) -> Iterator[subprocess.Popen[str]]:
    source = _PROGRAM.format(body=body.strip(), drain=drain)
    with subprocess.Popen(
        [sys.executable, "-c", source],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def said(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=30)
    return process.returncode, out, err


@pytest.mark.parametrize("received", [signal.SIGTERM, signal.SIGINT])
def test_it_finishes_what_runs_and_exits_0(received: signal.Signals) -> None:
    with running(_POLITE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(received)
        status, out, _ = said(process)
        assert status == 0
        assert "drained" in out


def test_a_second_signal_does_not_cut_the_drain_short() -> None:
    with running(_POLITE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGTERM)
        status, out, _ = said(process)
        assert status == 0
        assert "drained" in out


def test_a_start_that_waits_is_given_up_at_once() -> None:
    body = 'print("ready", flush=True); await asyncio.sleep(60)'
    with running(body) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert said(process)[0] == 0


def test_what_is_away_is_one_line_and_status_1() -> None:
    with running('raise TimeoutError("Postgres did not answer")') as process:
        assert said(process) == (1, "", "program: Postgres did not answer\n")


def test_a_bug_is_a_traceback_and_no_success() -> None:
    with running('raise ValueError("bug")') as process:
        status, _, err = said(process)
        assert status != 0
        assert "ValueError: bug" in err


def test_it_does_not_outlive_its_hard_limit() -> None:
    body = """
    lifecycle.started = True
    print("ready", flush=True)
    await asyncio.sleep(600)
"""
    with running(body, drain=-4.5) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert said(process)[0] == 1
