"""Child processes: each with a log file, a pid file and a process group of its own."""

import asyncio
import os
import shutil
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn

from orderfleet.polling import poll
from orderfleet_cli.errors import CommandError
from orderfleet_cli.fleet_addresses import points_elsewhere
from orderfleet_cli.local.pid_files import MARK, kill_orphans, remove_pid_file, write_pid_file
from orderfleet_cli.local.ports import LOOPBACK, Say
from orderfleet_cli.private_files import make_directory, open_private

_READY_SECONDS: Final = 60.0
_POLL: Final = 0.05
_ANSWER_SECONDS: Final = 1.0
# A versioned worker waits up to 17 s for its orders, then drains for 10 s; it has an outer limit of
# its own, 5 s later.
_STOP_SECONDS: Final = 40.0
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 10.0
_LINE: Final = 300
# Postgres and Temporal go on logging after the line that has the reason.
_REASONS: Final = ("FATAL:", "level=ERROR", "address already in use")


@dataclass(frozen=True, kw_only=True)
class Program:
    """What to run, how to ask whether it is ready, and the signal that shuts it down cleanly."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    ready: Callable[[], Awaitable[bool]]
    stop_signal: signal.Signals = signal.SIGTERM


class Process:
    """A program to start, stop and restart."""

    def __init__(self, program: Program, data: Path) -> None:
        self.program = program
        self.log = log_path(data, program.name)
        self._data = data
        self._log_start = 0
        self._child: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """The process id.

        Raises:
            CommandError: it is not running.
        """
        if self._child is None or not self.running:
            raise CommandError(f"{self.program.name} is not running")
        return self._child.pid

    @property
    def running(self) -> bool:
        """Whether it was started and has not exited."""
        return self._child is not None and self._child.returncode is None

    async def start(self, env: Mapping[str, str] | None = None) -> None:
        """Start it, with `env` on top of its environment, and wait until it is ready.

        Raises:
            CommandError: it exited before that, took longer than a minute, or was already running.
        """
        program = self.program
        if self.running:
            raise CommandError(f"{program.name} is already running")
        self._log_start = self.log.stat().st_size if self.log.exists() else 0
        marked = {**program.env, **(env or {}), MARK: str(self._data.resolve())}
        self._child = child = await _spawn(program.argv, marked, self.log)
        write_pid_file(self._data, program.name, child.pid, program.stop_signal)

        async def ready_or_exited() -> bool:
            return await program.ready() or child.returncode is not None

        if not await poll(ready_or_exited, seconds=_READY_SECONDS, pause=_POLL):
            raise CommandError(
                f"{program.name} was not ready after {_READY_SECONDS:g} s (log: {self.log})"
            )
        # Checked last: another process may have answered in its place.
        if child.returncode is not None:
            raise CommandError(self._explain_exit(child.returncode))

    async def stop(self, number: signal.Signals | None = None) -> int:
        """Send the signal, its own by default, and return the exit status: -N if signal N did it.

        A process that does not exit within 40 s is killed.
        """
        child = self._child
        if child is None:
            return 0
        if child.returncode is None:
            child.send_signal(self.program.stop_signal if number is None else number)
            try:
                async with asyncio.timeout(_STOP_SECONDS):
                    await child.wait()
            except TimeoutError:
                child.kill()
        status = await child.wait()
        kill_orphans(self._data, child.pid)
        remove_pid_file(self._data, self.program.name)
        return status

    async def keep(self, say: Say) -> NoReturn:
        """Restart it whenever it exits, with exponential back-off, until this is cancelled."""
        clock = asyncio.get_running_loop().time
        pause = _FIRST_PAUSE
        while True:
            began = clock()
            if self._child is not None:
                status = await self._child.wait()
                kill_orphans(self._data, self._child.pid)
                if clock() - began > _LONGEST_PAUSE:
                    pause = _FIRST_PAUSE
                say(f"{self._explain_exit(status)}; restarting in {pause:g} s")
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
            try:
                await self.start()
                say(f"{self.program.name} restarted (pid {self.pid})")
            except CommandError as error:
                say(str(error))
                await self.stop()

    def _explain_exit(self, status: int) -> str:
        return _explain_exit(self.program.name, status, self.log, self._log_start)


async def run_once(
    name: str, argv: tuple[str, ...], env: Mapping[str, str], data: Path, *, stdin: str = ""
) -> None:
    """Run a program until it exits.

    Raises:
        CommandError: its status is not 0.
    """
    log = log_path(data, name)
    child = await _spawn(argv, env, log, stdin=PIPE)
    try:
        await child.communicate(stdin.encode())
        status = await child.wait()
    except asyncio.CancelledError:
        child.kill()
        await child.wait()
        raise
    if status:
        raise CommandError(_explain_exit(name, status, log))


async def together(*work: Coroutine[Any, Any, None]) -> None:
    """Run all concurrently; the first error cancels the others and is raised."""
    tasks = [asyncio.create_task(coroutine) for coroutine in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def answers(port: int, path: str) -> bool:
    """Return whether a GET on loopback is answered by 200.

    HTTP by hand: the callers ask twenty times a second, and an HTTP client would load the system's
    certificates for each process it watches.
    """
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            reader, writer = await asyncio.open_connection(LOOPBACK, port)
            try:
                writer.write(f"GET {path} HTTP/1.0\r\nHost: {LOOPBACK}\r\n\r\n".encode())
                return b" 200 " in await reader.readline()
            finally:
                writer.close()
    except (OSError, ValueError):
        return False


def executable(name: str) -> str:
    """Return the path of a program of this virtual environment, or else of the PATH.

    Raises:
        CommandError: it is not installed.
    """
    # Not resolved: the interpreter of a virtual environment is a link to one outside of it.
    own = Path(sys.executable).parent / name
    path = str(own) if os.access(own, os.X_OK) else shutil.which(name)
    if path is None:
        raise CommandError(f"`{name}` is not installed: pip install 'orderfleet-cli[local]'")
    return path


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the user's environment without variables that name another Postgres or Temporal."""
    return {
        name: value
        for name, value in {**os.environ, **(extra or {})}.items()
        if not points_elsewhere(name)
    }


def log_path(data: Path, name: str) -> Path:
    """Return where a program's output goes."""
    return data / "logs" / f"{name}.log"


async def _spawn(
    argv: tuple[str, ...], env: Mapping[str, str], log: Path, stdin: int = DEVNULL
) -> asyncio.subprocess.Process:
    make_directory(log.parent)
    with open_private(log, append=True) as output:
        return await asyncio.create_subprocess_exec(
            *argv,
            stdin=stdin,
            stdout=output,
            stderr=STDOUT,
            env=dict(env),
            # Ctrl-C signals the whole group of a terminal; the children get a signal of their own.
            start_new_session=True,
        )


def _explain_exit(name: str, status: int, log: Path, since: int = 0) -> str:
    """Say how a process exited, with the line that has the reason from its log after `since`."""
    if status < 0:
        return f"{name} was killed by {signal.Signals(-status).name} (log: {log})"
    text = log.read_bytes()[since:].decode(errors="replace")
    lines = [line.strip() for line in reversed(text.splitlines()) if line.strip()]
    reasons = [line for line in lines if any(word in line for word in _REASONS)]
    last = next(iter([*reasons, *lines]), "") if status else ""
    # Go wraps an error outside in, so the cause is at the end of Temporal's long line.
    shown = last if len(last) <= _LINE else f"...{last[-_LINE:]}"
    reason = f": {shown}" if last else ""
    return f"{name} exited with status {status}{reason} (log: {log})"
