"""The processes of a data directory: a lock for its owner, a pid file for each process.

The kernel drops the lock when its holder dies; the pid files then list what it left behind.
"""

import contextlib
import fcntl
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
import psutil
from msgspec import Struct

from orderfleet_cli.errors import CommandError
from orderfleet_cli.fleet_addresses import remove_addresses
from orderfleet_cli.private_files import (
    UMASK,
    check_owner,
    file_errors,
    make_directory,
    open_private,
    write_private,
)

OWNER: Final = "orderfleet"
# In the environment of all processes started here, to recognise them by.
MARK: Final = "ORDERFLEET_LOCAL_DATA"

# psutil adds the boot time to a process's start; it may move by a second when the clock is set.
_SAME_START: Final = 2.0
# A versioned worker goes on for up to 32 s by default. The owner stops the workers one by one.
_OWNER_STOP_SECONDS: Final = 75.0
_STOP_SECONDS: Final = 35.0
_POLL: Final = 0.05


class PidFile(Struct, frozen=True):
    """A process that was started here; its start time tells a later one with the same pid apart."""

    name: str
    pid: int
    started: float
    stop_signal: int

    @property
    def alive(self) -> bool:
        """Whether the process itself still runs."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) < _SAME_START
            return same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False


def write_pid_file(data: Path, name: str, pid: int, stop_signal: int) -> None:
    """Write a process's pid file."""
    with contextlib.suppress(psutil.NoSuchProcess):
        pid_file = PidFile(name, pid, psutil.Process(pid).create_time(), stop_signal)
        path = _path(data, name)
        make_directory(path.parent)
        write_private(path, msgspec.json.encode(pid_file).decode())


def remove_pid_file(data: Path, name: str) -> None:
    """Remove a process's pid file."""
    _path(data, name).unlink(missing_ok=True)


@contextlib.contextmanager
def lock_directory(data: Path) -> Iterator[None]:
    """Own the data directory until the block ends; first stop what a crashed owner left.

    Raises:
        CommandError: another process or another user owns it.
    """
    make_directory(data)
    _make_private(data)
    with open_private(data / "lock") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owners = [process.pid for process in _read_pid_files(data) if process.name == OWNER]
            pid = f" (pid {owners[0]})" if owners else ""
            raise CommandError(
                f"{data} is in use by another `orderfleet`{pid}; stop it with `orderfleet down`"
            ) from None
        stop_left_over(data)
        write_pid_file(data, OWNER, os.getpid(), signal.SIGTERM)
        try:
            yield
        finally:
            remove_pid_file(data, OWNER)


def stop_left_over(data: Path) -> list[str]:
    """Stop all processes of the data directory and return their names and pids.

    The owner comes first and stops the others in order. Then the processes that a crashed owner
    left, the latest started first.

    Raises:
        CommandError: the directory belongs to another user, who could write any pid there.
    """
    if not data.exists():
        return []
    check_owner(data)
    stopped = []
    processes = sorted(_read_pid_files(data), key=_stop_order, reverse=True)
    for process in processes:
        if process.alive:
            _stop(process, _OWNER_STOP_SECONDS if process.name == OWNER else _STOP_SECONDS)
            stopped.append(f"{process.name} (pid {process.pid})")
        stopped += [f"{process.name} (pid {pid})" for pid in kill_orphans(data, process.pid)]
        remove_pid_file(data, process.name)
    remove_addresses(data)
    return stopped


def kill_orphans(data: Path, leader: int) -> list[int]:
    """Kill what is left of the session of a process that has ended, and return the pids.

    The API's server forks its worker, which would go on listening alone.
    """
    killed = []
    for process in psutil.process_iter():
        with contextlib.suppress(OSError, psutil.Error):
            ours = os.getsid(process.pid) == leader and process.pid != leader
            if ours and process.environ().get(MARK) == str(data.resolve()):
                process.kill()
                killed.append(process.pid)
    return killed


def _stop(process: PidFile, seconds: float) -> None:
    for number in (process.stop_signal, signal.SIGKILL):
        deadline = time.monotonic() + seconds
        try:
            os.kill(process.pid, number)
        except ProcessLookupError:
            return
        except PermissionError:
            raise CommandError(
                f"{process.name} (pid {process.pid}) belongs to another user"
            ) from None
        while process.alive and time.monotonic() < deadline:
            time.sleep(_POLL)
        if not process.alive:
            return


def _stop_order(process: PidFile) -> tuple[bool, float]:
    return process.name == OWNER, process.started


def _read_pid_files(data: Path) -> list[PidFile]:
    pid_files = []
    for path in (data / "run").glob("*.json"):
        # A crash may cut a file short, and another process may remove one meanwhile.
        with contextlib.suppress(msgspec.MsgspecError, FileNotFoundError):
            pid_files.append(msgspec.json.decode(path.read_bytes(), type=PidFile))
    return pid_files


@file_errors()
def _make_private(data: Path) -> None:
    """Make private what an older release created with the user's umask."""
    for path in data.iterdir():
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & ~UMASK)


def _path(data: Path, name: str) -> Path:
    return data / "run" / f"{name}.json"
