"""Show the log of a service: a file of this machine, or what kubectl says."""

import asyncio
import os
from asyncio.subprocess import PIPE
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO, cast

from orderfleet_cli.errors import CommandError
from orderfleet_cli.kubectl import find_kubectl
from orderfleet_cli.logs.lines import as_json, as_text

_POLL: Final = 0.2
_LABEL: Final = "app.kubernetes.io/component"
# kubectl follows five pods by default and refuses more.
_PODS: Final = 50
_LONGEST_LINE: Final = 2**20


@dataclass(frozen=True, kw_only=True)
class Show:
    """How much to show, and how."""

    lines: int
    follow: bool
    as_json: bool

    def line(self, line: str) -> None:
        """Print a line."""
        line = line.rstrip("\r\n")
        if line:
            print(as_json(line) if self.as_json else as_text(line), flush=True)


async def show_files(service: str, data: Path, show: Show) -> None:
    """Show the log file of a service that runs on this machine.

    Raises:
        CommandError: there is none.
    """
    path = data / "logs" / f"{service}.log"
    try:
        log = path.open(errors="replace")
    except FileNotFoundError:
        raise CommandError(f"no {path}: `orderfleet up` writes it (see --data)") from None
    with log:
        for line in deque(log, show.lines):
            show.line(line)
        if not show.follow:
            return
        async for line in _following(path, log):
            show.line(line)


async def show_pods(service: str, namespace: str, show: Show) -> None:
    """Show the logs of a component's pods.

    Raises:
        CommandError: kubectl is not installed, or failed; it says itself why.
    """
    kubectl = find_kubectl()
    of_service = [f"--selector={_LABEL}={service}"]
    of_service += [f"--namespace={namespace}"] if namespace else []
    # kubectl itself takes the logs of no pod at all for a success.
    if not await kubectl.answer("get", "pods", *of_service, "--output=name"):
        raise CommandError(f"no pod of {service} in namespace {namespace or 'of the context'}")
    command = [kubectl.program, "logs", *of_service, f"--tail={show.lines}"]
    command.append(f"--max-log-requests={_PODS}")
    command += ["--follow"] if show.follow else []
    child = await asyncio.create_subprocess_exec(*command, stdout=PIPE, limit=_LONGEST_LINE)
    try:
        async for line in cast("asyncio.StreamReader", child.stdout):
            show.line(line.decode(errors="replace"))
        status = await child.wait()
    finally:
        if child.returncode is None:
            child.terminate()
            await child.wait()
    if status:
        raise CommandError(f"kubectl ended with status {status}")


async def _following(path: Path, log: TextIO) -> AsyncIterator[str]:
    """Yield the lines that are added, also to a file that takes the place of this one."""
    line = ""
    while True:
        part = log.readline()
        line += part
        if line.endswith("\n"):
            yield line
            line = ""
        elif not part:
            await asyncio.sleep(_POLL)
            if _replaced(path, log):
                log = path.open(errors="replace")


def _replaced(path: Path, log: TextIO) -> bool:
    """Tell whether another file is at the path by now: the next `up` begins new logs."""
    try:
        return path.stat().st_ino != os.fstat(log.fileno()).st_ino
    except FileNotFoundError:
        return False
