"""Run programs of this machine: kubectl, helm, make."""

import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, TypeVar

T = TypeVar("T")

_TAIL: Final = 4000
_POLL: Final = 0.3


def run(
    *command: str | Path,
    seconds: float,
    env: Mapping[str, str] | None = None,
    stdin: str = "",
    cwd: Path | None = None,
    wanted: int = 0,
) -> str:
    """Run a program and return its stdout.

    Another exit status than `wanted` fails, with the end of its output.
    """
    # stdout and stderr apart: kubectl prints warnings beside the JSON.
    try:
        done = subprocess.run(
            command,
            check=False,
            env=env,
            input=stdin,
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired as error:
        output = b"".join((error.stdout or b"", error.stderr or b"")).decode(errors="replace")
        raise AssertionError(f"{_line(command)}: over {seconds:g} s: {output[-_TAIL:]}") from None
    output = f"{done.stdout}\n{done.stderr}"
    assert done.returncode == wanted, f"{_line(command)}: {done.returncode}: {output[-_TAIL:]}"
    return done.stdout


def wait_until(what: str, ask: Callable[[], T], enough: Callable[[T], bool], seconds: float) -> T:
    """Call `ask` until its answer is enough."""
    deadline = time.monotonic() + seconds
    while True:
        answer = ask()
        if enough(answer):
            return answer
        assert time.monotonic() < deadline, f"{what}: after {seconds:g} s still {answer}"
        time.sleep(_POLL)


def _line(command: tuple[str | Path, ...]) -> str:
    return " ".join(map(str, command))[:200]
