"""`orderfleet logs`: files of this machine, and kubectl."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Final

import msgspec
import pytest

from tests.support.cli import NOWHERE, Cli, ended

_LINE: Final = {
    "event": "serving",
    "level": "info",
    "timestamp": "2026-01-31T12:00:00.123456Z",
    "service": "api",
    "port": 8000,
}


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / ".data" / "logs" / "api.log"
    path.parent.mkdir(parents=True)
    encoded = msgspec.json.encode(_LINE).decode()
    path.write_text(f"first\nplain \x1b[31mtext\n{encoded}\n")
    return path


@pytest.fixture
def directory(log: Path) -> Path:
    """A directory in the place of the log."""
    log.unlink()
    log.mkdir()
    return log


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path)


async def test_lines_for_people_and_for_programs(cli: Cli, log: Path) -> None:
    shown = await cli("logs", "--service", "api", "--lines", "2")
    assert shown.out.splitlines() == ["plain ?[31mtext", "12:00:00.123 info serving port=8000"]
    raw = await cli("logs", "--service", "api", "--json", "--data", str(log.parents[1]))
    assert raw.json_lines == [{"message": "first"}, {"message": "plain \x1b[31mtext"}, _LINE]


async def test_no_log(cli: Cli) -> None:
    outcome = await cli("logs", "--service", "temporal")
    assert outcome.status == 1
    assert ".data/logs/temporal.log" in outcome.error


async def test_a_log_that_cannot_be_read(cli: Cli, directory: Path) -> None:
    assert directory.name == "api.log"
    outcome = await cli("logs", "--service", "api")
    assert (outcome.status, outcome.error) == (1, ".data/logs/api.log: Is a directory")


async def test_following_until_ctrl_c_also_into_the_next_file(cli: Cli, log: Path) -> None:
    process = await cli.begin("logs", "--service", "api", "--follow", "--lines", "0")
    assert process.stdout is not None
    async with asyncio.timeout(30):
        # Lines are added until the first is seen: then it follows.
        while True:
            with log.open("a") as added:
                added.write("more\n")
            try:
                async with asyncio.timeout(0.5):
                    assert await process.stdout.readline() == b"more\n"
                    break
            except TimeoutError:
                continue
        _replace(log, "another file\n")
        while await process.stdout.readline() != b"another file\n":
            pass
    process.send_signal(signal.SIGINT)
    outcome = await ended(process)
    assert (outcome.status, outcome.err) == (130, "")


async def test_kubernetes(tmp_path: Path) -> None:
    kubectl = tmp_path / "kubectl"
    # It knows a pod unless `none` is there, and fails if `fails` is.
    kubectl.write_text(
        '#!/bin/sh\n[ -e fails ] && exit 1\n[ "$1" = get ] && [ -e none ] && exit 0\necho "$@"\n'
    )
    kubectl.chmod(0o755)
    cli = Cli(tmp_path, {**NOWHERE, "PATH": f"{tmp_path}:{os.environ['PATH']}"})
    command = ("logs", "--service", "api", "--kubernetes", "--namespace", "shop", "-f")
    outcome = await cli(*command)
    label = "--selector=app.kubernetes.io/component=api"
    wanted = f"logs {label} --namespace=shop --tail=50 --max-log-requests=50 --follow\n"
    assert (outcome.status, outcome.out) == (0, wanted)
    (tmp_path / "none").touch()
    without = await cli(*command)
    assert (without.status, without.error) == (1, "no pods of api found in namespace shop")
    (tmp_path / "fails").touch()
    assert "kubectl: exited with status 1" in (await cli(*command)).error


async def test_kubernetes_without_kubectl(tmp_path: Path) -> None:
    cli = Cli(tmp_path, {**NOWHERE, "PATH": str(tmp_path)})
    assert (await cli("logs", "--service", "api", "--kubernetes")).error == (
        "kubectl is not installed"
    )


def _replace(log: Path, text: str) -> None:
    log.unlink()
    log.write_text(text)
