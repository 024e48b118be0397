"""Run `pg_dump` and `pg_restore`: bounded, with progress, and with one line for an error."""

import asyncio
import re
import shutil
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from orderfleet_cli.errors import CommandError, UsageError
from orderfleet_cli.local.postgres import binaries
from orderfleet_cli.printing import one_line

Say = Callable[[str], None]

_STOP_SECONDS: Final = 5.0
_VERSION: Final = re.compile(rb"\(PostgreSQL\) (\d+)")
_LONGEST_REASON: Final = 300
# An error may quote a row.
_LONGEST_LINE: Final = 2**22


async def find_program(name: str, server: int) -> str:
    """Return the path of a program of Postgres that knows a server of this major version.

    The nearest version wins: a newer `pg_restore` sends settings that an older server refuses.

    Raises:
        UsageError: none is installed, or all are older than the server.
    """
    versions: dict[int, str] = {}
    for path in _candidates(name):
        process = await asyncio.create_subprocess_exec(
            path, "--version", stdin=DEVNULL, stdout=PIPE
        )
        output, _ = await process.communicate()
        if match := _VERSION.search(output):
            versions.setdefault(int(match[1]), path)
    usable = [version for version in versions if version >= server]
    if not usable:
        has = f"here is {max(versions)}" if versions else "it is not installed"
        raise UsageError(f"`{name}` of Postgres {server} or newer is needed: {has}")
    return versions[min(usable)]


async def run_program(
    argv: Sequence[str], environment: Mapping[str, str], *, seconds: float, say: Say
) -> None:
    """Run a program to its end; each line that it writes is progress.

    Raises:
        CommandError: it failed, with its last error, or took too long.
    """
    name = Path(argv[0]).name
    process = await asyncio.create_subprocess_exec(
        *argv,
        env=dict(environment),
        stdin=DEVNULL,
        stdout=DEVNULL,
        stderr=PIPE,
        limit=_LONGEST_LINE,
    )
    reason = ""
    try:
        async with asyncio.timeout(seconds):
            async for line in _lines(process):
                if " error: " in line or " fatal: " in line:
                    reason = reason or line
                else:
                    say(line.removeprefix(f"{name}: "))
            status = await process.wait()
    except TimeoutError:
        raise CommandError(f"{name} did not end within {seconds:g} s") from None
    finally:
        await _stop(process)
    if status:
        reason = reason.removeprefix(f"{name}: error: ")
        raise CommandError(f"{name}: {reason or f'exit status {status}'}"[:_LONGEST_REASON])


async def _lines(process: Process) -> AsyncIterator[str]:
    if process.stderr is None:
        return
    async for line in process.stderr:
        if text := one_line(line.decode(errors="replace")):
            yield text


async def _stop(process: Process) -> None:
    """End a program that is still running: the command was stopped, or the time is over."""
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(_STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def _candidates(name: str) -> list[str]:
    own = None
    with suppress(CommandError):
        own = shutil.which(name, path=str(binaries()))
    return [path for path in (own, shutil.which(name)) if path is not None]
