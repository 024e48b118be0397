"""Directories and files that only their user can read: passwords, addresses, logs with orders."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from orderfleet_cli.errors import CommandError

UMASK: Final = 0o077
_DIRECTORY: Final = 0o700
_FILE: Final = 0o600


@contextmanager
def private_umask() -> Iterator[None]:
    """Close to others whatever this process and those it starts write until the block ends.

    For the whole process: uvloop, on which the benchmark starts a fleet, has no umask for a child.
    """
    before = os.umask(UMASK)
    try:
        yield
    finally:
        os.umask(before)


def make_directory(path: Path) -> None:
    """Make a directory of the user alone, and what is missing above it; close one that is open.

    Raises:
        CommandError: it belongs to somebody else.
    """
    missing = [one for one in (path, *path.parents) if not os.path.lexists(one)]
    for one in reversed(missing):
        one.mkdir(mode=_DIRECTORY)
    check_owner(path)
    path.chmod(_DIRECTORY)


def check_owner(path: Path) -> None:
    """Refuse what another user could replace: a directory of theirs, or a link of theirs to ours.

    Raises:
        CommandError: it belongs to somebody else.
    """
    if {path.lstat().st_uid, path.stat().st_uid} != {os.geteuid()}:
        raise CommandError(f"{path} belongs to another user: run this in a directory of your own")


def is_private(path: Path) -> bool:
    """Tell whether a directory is the user's, and closed to everybody else."""
    found = path.stat()
    return found.st_uid == os.geteuid() and not found.st_mode & UMASK


def open_private(path: Path, *, append: bool = False) -> BinaryIO:
    """Open a file to write to, empty unless `append`; it does not go through a link."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | (os.O_APPEND if append else os.O_TRUNC)
    file = os.fdopen(os.open(path, flags, _FILE), "ab" if append else "wb")
    # One of before may be open to others.
    os.fchmod(file.fileno(), _FILE)
    return file


def write_private(path: Path, text: str) -> None:
    """Write a file, whole or not at all."""
    unfinished = path.with_name(f"{path.name}.new")
    with open_private(unfinished) as file:
        file.write(text.encode())
    unfinished.replace(path)
