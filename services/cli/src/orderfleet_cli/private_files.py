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
def file_errors() -> Iterator[None]:
    """Turn an error of the file system into one line that names the path.

    Raises:
        CommandError: the block raised an OSError.
    """
    try:
        yield
    except OSError as error:
        raise CommandError(f"{error.filename}: {error.strerror}") from error


@contextmanager
def private_umask() -> Iterator[None]:
    """Keep what this process and its children write private until the block ends.

    The umask is process-wide: uvloop, on which the benchmark starts a fleet, sets none for a child.
    """
    before = os.umask(UMASK)
    try:
        yield
    finally:
        os.umask(before)


@file_errors()
def make_directory(path: Path) -> None:
    """Make a private directory and its missing parents; make an existing one private.

    Raises:
        CommandError: it belongs to another user, or cannot be made.
    """
    missing = [parent for parent in (path, *path.parents) if not os.path.lexists(parent)]
    for parent in reversed(missing):
        parent.mkdir(mode=_DIRECTORY)
    check_owner(path)
    path.chmod(_DIRECTORY)


def check_owner(path: Path) -> None:
    """Refuse a path that another user could replace: theirs, or a link of theirs to ours.

    Raises:
        CommandError: it belongs to another user.
    """
    if {path.lstat().st_uid, path.stat().st_uid} != {os.geteuid()}:
        raise CommandError(f"{path} belongs to another user: run this in a directory of your own")


def is_private(path: Path) -> bool:
    """Return whether a directory is the user's, and no one else can read or write it."""
    status = path.stat()
    return status.st_uid == os.geteuid() and not status.st_mode & UMASK


@file_errors()
def open_private(path: Path, *, append: bool = False) -> BinaryIO:
    """Open a file for writing, truncated unless `append`; do not follow a link.

    Raises:
        CommandError: it cannot be opened.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | (os.O_APPEND if append else os.O_TRUNC)
    file = os.fdopen(os.open(path, flags, _FILE), "ab" if append else "wb")
    # An existing file may be open to others.
    os.fchmod(file.fileno(), _FILE)
    return file


@file_errors()
def write_private(path: Path, text: str) -> None:
    """Write a file atomically.

    Raises:
        CommandError: it cannot be written.
    """
    unfinished = path.with_name(f"{path.name}.new")
    with open_private(unfinished) as file:
        file.write(text.encode())
    unfinished.replace(path)
