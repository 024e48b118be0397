"""Programs that a test runs beside the fleet."""

import asyncio
import os
import signal
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

from orderfleet_cli.local.processes import environment, executable
from tests.e2e.support.orders import PATIENCE


class Output:
    """A running program and the lines it has printed."""

    def __init__(self, child: asyncio.subprocess.Process) -> None:
        self.child = child
        self.lines: list[str] = []

    async def until(self, text: str, seconds: float = PATIENCE) -> str:
        """Wait for the next line with this text."""
        assert self.child.stdout is not None
        try:
            async with asyncio.timeout(seconds):
                while raw := await self.child.stdout.readline():
                    self.lines.append(raw.decode().rstrip("\n"))
                    if text in self.lines[-1]:
                        return self.lines[-1]
        except TimeoutError:
            raise AssertionError(f"never said {text!r}: {self.lines}") from None
        raise AssertionError(f"ended without {text!r}: {self.lines}")

    async def end(self, seconds: float = PATIENCE) -> int:
        """Wait for its end, read the rest and return its exit status."""
        assert self.child.stdout is not None
        async with asyncio.timeout(seconds):
            rest = await self.child.stdout.read()
            self.lines += rest.decode().splitlines()
            return await self.child.wait()

    def signal(self, number: signal.Signals) -> None:
        self.child.send_signal(number)


@asynccontextmanager
async def run_program(
    name: str,
    *arguments: str,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    umask: int = -1,
) -> AsyncIterator[Output]:
    """Run one of the project's programs in a clean environment; kill it at the end."""
    child = await asyncio.create_subprocess_exec(
        executable(name),
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=PIPE,
        stderr=STDOUT,
        env={**_ENV, **(env or {})},
        cwd=cwd,
        umask=umask,
    )
    try:
        yield Output(child)
    finally:
        with suppress(ProcessLookupError):
            child.kill()
        await child.wait()


_ENV: Final = {
    name: value for name, value in environment().items() if not name.startswith("ORDERFLEET_")
} | {"PYTHONUNBUFFERED": "1", "COLUMNS": os.environ.get("COLUMNS", "120")}
