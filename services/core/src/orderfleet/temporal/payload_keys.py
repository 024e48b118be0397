"""The keys that encrypt payloads: a file with a key a line, read again when it changes.

A line is `ID:BASE64`, 32 random bytes, and may be followed by the UTC time from which the key
encrypts: `ID:BASE64 2026-12-01T09:00:00Z`. The first key whose time has come encrypts; every key
decrypts. Empty lines and lines that begin with `#` are comments.
"""

import binascii
import re
import secrets
import time
from base64 import b64decode, b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import structlog

from orderfleet.environment import SettingsError
from orderfleet.settings import PAYLOAD_KEYS_FILE, CommonSettings

log = structlog.stdlib.get_logger(__name__)

KEY_BYTES: Final = 32
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MOST_BYTES: Final = 64 * 1024
# How often the file is looked at; and after a payload with an unknown key.
_LOOK_SECONDS: Final = 2.0
_LOOK_AGAIN_SECONDS: Final = 0.2


@dataclass(frozen=True)
class PayloadKey:
    """A key, and when it begins to encrypt, in seconds since the epoch."""

    id: str
    secret: bytes = field(repr=False)
    since: float = 0.0

    def __str__(self) -> str:
        line = f"{self.id}:{b64encode(self.secret).decode()}"
        if not self.since:
            return line
        return f"{line} {datetime.fromtimestamp(self.since, UTC):%Y-%m-%dT%H:%M:%SZ}"


class KeyRing:
    """Keys in the order of their lines; none without encryption."""

    def __init__(self, keys: Sequence[PayloadKey] = ()) -> None:
        self.keys = tuple(keys)
        self.by_id = {key.id: key for key in keys}

    def current(self) -> PayloadKey | None:
        """Return the key that encrypts now; None if none does."""
        now = time.time()
        return next((key for key in self.keys if key.since <= now), None)


def make_key(since: float = 0.0) -> PayloadKey:
    """Return a new random key, called by the time and four random digits."""
    name = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(2)}"
    return PayloadKey(name, secrets.token_bytes(KEY_BYTES), since)


def parse_keys(text: str) -> KeyRing:
    """Return the keys of a file.

    Raises:
        ValueError: a line is malformed, an id or a key is repeated, or there is no key. The message
            contains no part of a key.
    """
    keys = list(_keys(text))
    if not keys:
        raise ValueError("there is no key")
    return KeyRing(keys)


def read_keys(path: Path) -> KeyRing:
    """Return the keys of a file.

    Raises:
        OSError: it cannot be read.
        ValueError: its content is malformed.
    """
    with path.open("rb") as file:
        data = file.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise ValueError(f"the file has more than {_MOST_BYTES} bytes")
    try:
        text = data.decode("ascii")
    except UnicodeDecodeError:
        raise ValueError("the file is not ASCII text") from None
    return parse_keys(text)


class PayloadKeys:
    """The key ring of a process, which follows its file.

    `reloaded` is when the file was last read, `failure` why it could not be read since; the ring
    read before stays in use then.
    """

    def __init__(self, path: Path | None = None) -> None:
        """Read the file; without a path there are no keys.

        Raises:
            SettingsError: the file cannot be read, or is malformed.
        """
        self.path = path
        self.reloaded = time.time()
        self.failure = ""
        self._ring = KeyRing()
        self._looked = time.monotonic()
        if path is None:
            return
        try:
            self._version = _version(path)
            self._ring = read_keys(path)
        except (OSError, ValueError) as error:
            raise SettingsError(f"{PAYLOAD_KEYS_FILE}: {path}: {_reason(error)}") from None

    @classmethod
    def from_settings(cls, settings: CommonSettings) -> "PayloadKeys":
        """Return the keys that the settings name.

        Raises:
            SettingsError: the file cannot be read, or is malformed.
        """
        return cls(Path(settings.payload_keys_file) if settings.payload_keys_file else None)

    @property
    def on(self) -> bool:
        """Whether there is a file of keys."""
        return self.path is not None

    def ring(self) -> KeyRing:
        """Return the keys, at most 2 s older than the file."""
        if self.path is not None:
            self._look(self.path, _LOOK_SECONDS)
        return self._ring

    def find(self, key_id: str) -> PayloadKey | None:
        """Return the key with this id; None if the file, looked at just now, has none."""
        key = self.ring().by_id.get(key_id)
        if key is None and self.path is not None:
            self._look(self.path, _LOOK_AGAIN_SECONDS)
            key = self._ring.by_id.get(key_id)
        return key

    def _look(self, path: Path, seconds: float) -> None:
        now = time.monotonic()
        if now - self._looked < seconds:
            return
        self._looked = now
        try:
            version = _version(path)
            if version == self._version:
                return
            self._ring = read_keys(path)
        except (OSError, ValueError) as error:
            if (reason := _reason(error)) != self.failure:
                log.error("cannot read the payload keys again", path=str(path), error=reason)  # noqa: TRY400
            self.failure = reason
            return
        self._version, self.failure, self.reloaded = version, "", time.time()
        log.info("payload keys read again", path=str(path), keys=len(self._ring.keys))


def _version(path: Path) -> tuple[int, int, int]:
    """Return what differs after a change; Kubernetes replaces a link to the directory."""
    status = path.stat()
    return status.st_mtime_ns, status.st_ino, status.st_size


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)


def _keys(text: str) -> Iterator[PayloadKey]:
    seen: set[str | bytes] = set()
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            key = _key(line)
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from None
        if seen & {key.id, key.secret}:
            raise ValueError(f"line {number}: the id or the key is repeated")
        seen |= {key.id, key.secret}
        yield key


def _key(line: str) -> PayloadKey:
    entry, *rest = line.split()
    key_id, colon, encoded = entry.partition(":")
    if not colon or not _ID.fullmatch(key_id) or len(rest) > 1:
        raise ValueError("expected ID:BASE64, and a time or nothing after it")
    try:
        secret = b64decode(encoded, validate=True)
    except binascii.Error:
        raise ValueError("the key is not base64") from None
    if len(secret) != KEY_BYTES:
        raise ValueError(f"the key has {len(secret)} bytes, not {KEY_BYTES}")
    return PayloadKey(key_id, secret, _time(rest[0]) if rest else 0.0)


def _time(text: str) -> float:
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise ValueError("the time is not like 2026-12-01T09:00:00Z") from None
