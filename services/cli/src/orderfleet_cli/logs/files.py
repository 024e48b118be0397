"""Show the log file of a service that runs on this machine."""

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final, TextIO

from orderfleet_cli.errors import CommandError
from orderfleet_cli.logs.lines import LinePrinter

_POLL: Final = 0.2


async def show_file(service: str, data: Path, printer: LinePrinter) -> None:
    """Show the log file of a service.

    Raises:
        CommandError: it cannot be read.
    """
    path = data / "logs" / f"{service}.log"
    try:
        log = path.open(errors="replace")
    except FileNotFoundError:
        raise CommandError(f"{path} not found: `orderfleet up` writes it (see --data)") from None
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from None
    with log:
        for line in deque(log, printer.lines):
            printer.print(line)
        if printer.follow:
            async for line in _follow(path, log):
                printer.print(line)


async def _follow(path: Path, log: TextIO) -> AsyncIterator[str]:
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
            if _is_replaced(path, log):
                log = path.open(errors="replace")


def _is_replaced(path: Path, log: TextIO) -> bool:
    """Return whether another file is at the path by now: the next `up` begins new logs."""
    try:
        return path.stat().st_ino != os.fstat(log.fileno()).st_ino
    except FileNotFoundError:
        return False
