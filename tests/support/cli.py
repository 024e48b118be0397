"""Run the real command `orderfleet`, isolated from this machine's settings and fleets."""

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

_COMMAND: Final = Path(sys.executable).parent / "orderfleet"
_SECONDS: Final = 60.0
# Nothing listens on this port.
NOWHERE: Final = {
    "ORDERFLEET_URL": "http://127.0.0.1:1",
    "TEMPORAL_ADDRESS": "127.0.0.1:1",
    "DATABASE_URL": "postgresql://orderfleet@127.0.0.1:1/orderfleet",
}
_OURS: Final = ("ORDERFLEET_", "TEMPORAL_", "PG", "DATABASE_URL", "_ORDERFLEET")


@dataclass(frozen=True)
class Outcome:
    """Exit status and output of a command."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.status == 0, self
        return msgspec.json.decode(self.out)

    @property
    def json_lines(self) -> list[Any]:
        return [msgspec.json.decode(line) for line in self.out.splitlines()]

    @property
    def error(self) -> str:
        """The error message, a single line."""
        assert self.status in {1, 2, 3}, self
        lines = self.err.splitlines()
        assert len(lines) == 1, self
        assert lines[0].startswith("orderfleet: "), self
        return lines[0].removeprefix("orderfleet: ")


@dataclass(frozen=True)
class Cli:
    """The command in a directory, with an environment."""

    cwd: Path
    env: Mapping[str, str] = field(default_factory=lambda: NOWHERE)

    async def __call__(self, *arguments: str, **env: str) -> Outcome:
        """Run the command to its end."""
        async with asyncio.timeout(_SECONDS):
            return await ended(await self.begin(*arguments, **env))

    async def all(self, *commands: str) -> list[Outcome]:
        """Run several command lines, two at a time."""
        two = asyncio.Semaphore(2)

        async def run(command: str) -> Outcome:
            async with two:
                return await self(*command.split())

        return await asyncio.gather(*map(run, commands))

    async def begin(self, *arguments: str, **env: str) -> Process:
        """Start the command."""
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(_OURS)
        }
        return await asyncio.create_subprocess_exec(
            _COMMAND,
            *arguments,
            cwd=self.cwd,
            env={**inherited, **self.env, **env},
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
        )


async def ended(process: Process) -> Outcome:
    """Wait for a command to exit."""
    out, err = await process.communicate()
    assert process.returncode is not None
    assert b"Traceback" not in err, err.decode()
    return Outcome(process.returncode, out.decode(), err.decode())
