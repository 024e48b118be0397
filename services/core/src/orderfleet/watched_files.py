"""A value from files that may change while the process runs, such as a mounted Secret.

A look compares time, inode and size of each file, which takes 3 us a file: Kubernetes replaces a
link to the directory of all files, other tools replace the file. Files that cannot be read, or
whose content is refused, leave the previous value in use. Each further look then reads them again.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Generic, TypeVar

import structlog

log = structlog.stdlib.get_logger(__name__)

T = TypeVar("T")

LOOK_SECONDS: Final = 2.0
MOST_BYTES: Final = 64 * 1024


class WatchedFiles(Generic[T]):
    """A value and the files that it comes from.

    `reloaded` is when the value was last read, in seconds since the epoch; `failures` counts the
    failed attempts since the start, and `failure` says why the last one failed, empty after a
    success. `previous` is the value before the last change.
    """

    def __init__(self, credential: str, paths: Sequence[Path], read: Callable[[], T]) -> None:
        """Read the files for the first time.

        Args:
            credential: the name in logs and metrics.
            paths: the files; one that does not exist may come later.
            read: returns their value; raises OSError, or ValueError with a message of one line that
                repeats no content.

        Raises:
            OSError: a file cannot be read.
            ValueError: the content is refused.
        """
        self.credential = credential
        self.failures = 0
        self.failure = ""
        self.previous: T | None = None
        self._paths = tuple(paths)
        self._read = read
        self._logged: tuple[object, ...] | None = None
        self._looked = time.monotonic()
        self._version = self._seen = self._stat()
        self._value = read()
        self.reloaded = time.time()

    def get(self, seconds: float = LOOK_SECONDS) -> T:
        """Return the value, after a look if the last one is so many seconds ago."""
        now = time.monotonic()
        if now - self._looked >= seconds:
            self._looked = now
            self._look()
        return self._value

    def fail(self, reason: str) -> None:
        """Count a failure to put the files to use, and log it once for each of their versions."""
        self.failures += 1
        if self._logged != self._seen:
            self._logged = self._seen
            log.warning(
                "cannot reload a credential; the previous value stays in use",
                credential=self.credential,
                error=reason,
            )

    def _look(self) -> None:
        version = self._seen = self._stat()
        if version == self._version and not self.failure:
            return
        try:
            value, reason = self._read(), ""
        except (OSError, ValueError) as error:
            value, reason = self._value, explain(error)
        if self._stat() != version:
            # Changed meanwhile: these may be parts of two versions. The next look is not to wait.
            self._looked -= LOOK_SECONDS
        elif reason:
            self.failure = reason
            self.fail(reason)
        else:
            self.previous, self._value = self._value, value
            self._version, self.failure, self.reloaded = version, "", time.time()
            self._logged = None
            log.info("credential reloaded", credential=self.credential)

    def _stat(self) -> tuple[object, ...]:
        version: list[object] = []
        for path in self._paths:
            try:
                status = path.stat()
            except OSError as error:
                version.append(error.errno)
            else:
                version.append((status.st_mtime_ns, status.st_ino, status.st_size))
        return tuple(version)


def read_text(path: Path) -> str:
    """Return a file's text.

    Raises:
        OSError: it cannot be read.
        ValueError: it is too large, or not ASCII.
    """
    data = read_bytes(path)
    try:
        return data.decode("ascii")
    except UnicodeDecodeError:
        raise ValueError("the file is not ASCII text") from None


def read_line(path: Path) -> str:
    """Return a file's only line, without the end of line that an editor adds.

    Raises:
        OSError: it cannot be read.
        ValueError: it is something else.
    """
    try:
        line = read_bytes(path).decode().rstrip("\r\n")
    except UnicodeDecodeError:
        line = ""
    if not line or not line.isprintable():
        raise ValueError(f"{path}: expected one line of visible characters")
    return line


def read_bytes(path: Path) -> bytes:
    """Return a file's content.

    Raises:
        OSError: it cannot be read.
        ValueError: it is too large.
    """
    with path.open("rb") as file:
        data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise ValueError(f"the file has more than {MOST_BYTES} bytes")
    return data


def explain(error: OSError | ValueError) -> str:
    """Return one line about why files could not be used."""
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error)
