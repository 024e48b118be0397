"""Who runs in a data directory: a lock for its owner, a pid file for each process.

The kernel drops the lock when its holder dies; the pid files then tell what it left behind.
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
    make_directory,
    open_private,
    write_private,
)

OWNER: Final = "orderfleet"
# In the environment of all processes started here: what tells them from anyone else's.
MARK: Final = "ORDERFLEET_LOCAL_DATA"

# The boot time that psutil adds to a process's start may move by a second when the clock is set.
_SAME_START: Final = 2.0
# The owner stops its services first, which drain for 10 s by default.
_OWNER_PATIENCE: Final = 60.0
_PATIENCE: Final = 15.0
_POLL: Final = 0.05


class PidFile(Struct, frozen=True):
    """A process that was started here, told from any later one with the same pid."""

    name: str
    pid: int
    started: float
    stop_signal: int

    @property
    def alive(self) -> bool:
        """Tell whether that very process still runs."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) < _SAME_START
            return same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False


def write_pid_file(data: Path, name: str, pid: int, stop_signal: int) -> None:
    """Write a process's pid file."""
    with contextlib.suppress(psutil.NoSuchProcess):
        record = PidFile(name, pid, psutil.Process(pid).create_time(), stop_signal)
        path = _path(data, name)
        make_directory(path.parent)
        write_private(path, msgspec.json.encode(record).decode())


def remove_pid_file(data: Path, name: str) -> None:
    """Remove a process's pid file."""
    _path(data, name).unlink(missing_ok=True)


@contextlib.contextmanager
def lock_directory(data: Path) -> Iterator[None]:
    """Own the data directory until the block ends.

    Raises:
        CommandError: someone else does.
    """
    make_directory(data)
    _close_what_is_open(data)
    with open_private(data / "lock") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = next((record for record in _records(data) if record.name == OWNER), None)
            who = f" (pid {owner.pid})" if owner else ""
            raise CommandError(
                f"{data} is in use by another `orderfleet`{who}; `orderfleet down` stops it"
            ) from None
        stop_left_over(data)
        write_pid_file(data, OWNER, os.getpid(), signal.SIGTERM)
        try:
            yield
        finally:
            remove_pid_file(data, OWNER)


def stop_left_over(data: Path) -> list[str]:
    """Stop all that still runs in the data directory and return what that was.

    The owner first: it stops the others in order. Then what a crashed owner left, the latest
    started first.

    Raises:
        CommandError: the directory belongs to another user, who could name any process.
    """
    if not data.exists():
        return []
    check_owner(data)
    stopped = []
    records = sorted(_records(data), key=lambda one: (one.name == OWNER, one.started), reverse=True)
    for record in records:
        if record.alive:
            _stop(record, _OWNER_PATIENCE if record.name == OWNER else _PATIENCE)
            stopped.append(f"{record.name} (pid {record.pid})")
        stopped += [f"{record.name} (pid {pid})" for pid in kill_orphans(data, record.pid)]
        remove_pid_file(data, record.name)
    remove_addresses(data)
    return stopped


def kill_orphans(data: Path, leader: int) -> list[int]:
    """Kill what a process that is gone has left of its session, and return the pids.

    The API's server forks its worker, which would go on listening without it.
    """
    killed = []
    for process in psutil.process_iter():
        with contextlib.suppress(OSError, psutil.Error):
            ours = os.getsid(process.pid) == leader and process.pid != leader
            if ours and process.environ().get(MARK) == str(data.resolve()):
                process.kill()
                killed.append(process.pid)
    return killed


def _stop(record: PidFile, patience: float) -> None:
    for number in (record.stop_signal, signal.SIGKILL):
        deadline = time.monotonic() + patience
        try:
            os.kill(record.pid, number)
        except ProcessLookupError:
            return
        except PermissionError:
            raise CommandError(
                f"{record.name} (pid {record.pid}) belongs to another user"
            ) from None
        while record.alive and time.monotonic() < deadline:
            time.sleep(_POLL)
        if not record.alive:
            return


def _records(data: Path) -> list[PidFile]:
    found = []
    for path in (data / "run").glob("*.json"):
        # A file cut short by a crash says nothing, and one removed meanwhile has nothing to say.
        with contextlib.suppress(msgspec.MsgspecError, FileNotFoundError):
            found.append(msgspec.json.decode(path.read_bytes(), type=PidFile))
    return found


def _close_what_is_open(data: Path) -> None:
    """Close to others what an older release made as the umask said."""
    for path in data.iterdir():
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & ~UMASK)


def _path(data: Path, name: str) -> Path:
    return data / "run" / f"{name}.json"
