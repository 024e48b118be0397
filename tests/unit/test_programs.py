"""The real programs: what they say of their settings before they start."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAMS = pytest.mark.parametrize(
    "program",
    [
        "orderfleet-api",
        "orderfleet-order-worker",
        "orderfleet-shipping-worker",
        "orderfleet-order-gate",
        "orderfleet-shipping-gate",
        "orderfleet-migrate",
        "orderfleet-wait",
    ],
)


def run(program: str, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    mine = ("ORDERFLEET_", "TEMPORAL_", "DATABASE_")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(mine)}
    return subprocess.run(
        [Path(sys.executable).with_name(program), *arguments],
        env=clean | environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@PROGRAMS
def test_the_settings_are_shown_without_secrets(program: str) -> None:
    url = "postgresql+asyncpg://someone:hidden@db:5432/fleet"
    done = run(program, "--print-config", DATABASE_URL=url, TEMPORAL_TARGET="there:7233")
    assert (done.returncode, done.stderr) == (0, "")
    assert "DATABASE_URL=postgresql+asyncpg://***@db:5432/fleet\n" in done.stdout
    assert "TEMPORAL_ADDRESS=there:7233\n" in done.stdout
    assert "hidden" not in done.stdout
    assert "someone" not in done.stdout


@PROGRAMS
def test_a_wrong_setting_is_one_line_and_status_2(program: str) -> None:
    done = run(program, ORDERFLEET_PROBE_PORT="high")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"{program}: ORDERFLEET_PROBE_PORT: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("program", "arguments", "said"),
    [
        ("orderfleet-wait", [], "expected postgres or temporal"),
        ("orderfleet-wait", ["redis"], "expected postgres or temporal (got 'redis')"),
        ("orderfleet-wait", ["temporal", ""], "expected postgres or temporal (got '')"),
        ("orderfleet-wait", ["--fast"], "unrecognized arguments: --fast"),
        ("orderfleet-migrate", ["postgres"], "unrecognized arguments: postgres"),
    ],
)
def test_a_wrong_argument_is_one_line_and_status_2(
    program: str, arguments: list[str], said: str
) -> None:
    done = run(program, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"{program}: {said}\n"
