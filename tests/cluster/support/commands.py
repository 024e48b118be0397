"""Programs of the machine that the tests run: kubectl, helm, make."""

import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, TypeVar

T = TypeVar("T")

_TOLD: Final = 4000
_POLL: Final = 0.3


def run(
    *command: str | Path,
    seconds: float,
    env: Mapping[str, str] | None = None,
    stdin: str = "",
    cwd: Path | None = None,
    wanted: int = 0,
) -> str:
    """Run a program to its end and return what it printed.

    It has to exit with the status that is wanted, else the end of what it printed is shown.
    """
    # stdout and stderr apart, as kubectl puts warnings beside the JSON that is asked for.
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
        said = b"".join((error.stdout or b"", error.stderr or b"")).decode(errors="replace")
        raise AssertionError(f"{_line(command)}: over {seconds:g} s: {said[-_TOLD:]}") from None
    said = f"{done.stdout}\n{done.stderr}"
    assert done.returncode == wanted, f"{_line(command)}: {done.returncode}: {said[-_TOLD:]}"
    return done.stdout


def wait_until(what: str, ask: Callable[[], T], enough: Callable[[T], bool], seconds: float) -> T:
    """Ask until the answer is enough."""
    deadline = time.monotonic() + seconds
    while True:
        found = ask()
        if enough(found):
            return found
        assert time.monotonic() < deadline, f"{what}: after {seconds:g} s still {found}"
        time.sleep(_POLL)


def _line(command: tuple[str | Path, ...]) -> str:
    return " ".join(map(str, command))[:200]
