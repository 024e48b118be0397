"""The life of a process, from the outside."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pytest

_PROGRAM = """
import asyncio, atexit, os, sys
from orderfleet.environment import SettingsError
from orderfleet.observability.logging import configure_logs
from orderfleet.runtime.process import Lifecycle, run_service

# What a thread of the SDK does to an interpreter that is taken down, now and then.
atexit.register(os.abort)

async def serve(lifecycle: Lifecycle) -> None:
    {body}

configure_logs("error", "json", service="program")
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


def result_of(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=30)
    return process.returncode, out, err


@pytest.mark.parametrize("received", [signal.SIGTERM, signal.SIGINT])
def test_it_finishes_what_runs_and_exits_0(received: signal.Signals) -> None:
    with running(_POLITE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(received)
        status, out, _ = result_of(process)
        assert status == 0
        assert "drained" in out


def test_a_second_signal_does_not_cut_the_drain_short() -> None:
    with running(_POLITE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGTERM)
        status, out, _ = result_of(process)
        assert status == 0
        assert "drained" in out


def test_a_start_that_waits_is_given_up_at_once() -> None:
    body = 'print("ready", flush=True); await asyncio.sleep(60)'
    with running(body) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert result_of(process)[0] == 0


def test_a_dependency_that_does_not_come_up_is_one_line_and_status_1() -> None:
    with running('raise TimeoutError("Postgres did not answer")') as process:
        assert result_of(process) == (1, "", "program: Postgres did not answer\n")


def test_an_unusable_setting_is_one_line_and_status_2() -> None:
    with running('raise SettingsError("TEMPORAL_ADDRESS: no port")') as process:
        assert result_of(process) == (2, "", "program: TEMPORAL_ADDRESS: no port\n")


@pytest.mark.parametrize(
    "body",
    [
        'raise ValueError("bug")',
        'raise asyncio.InvalidStateError("bug")',
        # No start-up error any more.
        'lifecycle.started = True; raise TimeoutError("bug")',
        'lifecycle.started = True; lifecycle.request_shutdown(); raise OSError("bug")',
    ],
)
def test_an_unexpected_error_is_a_traceback_in_the_log_and_status_1(body: str) -> None:
    with running(body) as process:
        status, out, err = result_of(process)
        assert (status, out) == (1, "")
        line = msgspec.json.decode(err)
        assert (line["level"], line["event"]) == ("error", "unexpected error")
        assert line["exception"].startswith("Traceback (most recent call last):")
        assert line["exception"].endswith("Error: bug")


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
        assert result_of(process)[0] == 1
