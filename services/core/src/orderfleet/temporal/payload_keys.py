"""The keys that encrypt payloads: a file with a key a line, read again when it changes.

A line is `ID:BASE64`, 32 random bytes, and may be followed by the UTC time from which the key
encrypts: `ID:BASE64 2026-12-01T09:00:00Z`. The first key whose time has come encrypts; every key
decrypts. Empty lines and lines that begin with `#` are comments.
"""

import asyncio
import binascii
import hmac
import re
import secrets
import time
from base64 import b64decode, b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Final

import structlog

from orderfleet.polling import poll
from orderfleet.settings import PAYLOAD_KEYS_FILE, CommonSettings, naming
from orderfleet.watched_files import WatchedFiles, read_text

log = structlog.stdlib.get_logger(__name__)

KEY_BYTES: Final = 32
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
# How soon the file is looked at again after a payload with an unknown key.
_LOOK_AGAIN_SECONDS: Final = 0.2
# Derives the key of digests from a payload key: AES-GCM and HMAC do not share one.
_DIGESTS: Final = b"orderfleet digests"
# So many payloads without a key, and none read between them, are no single bad message.
_MOST_MISSES: Final = 2
# How long a worker then takes no tasks, unless the file changes: each time twice as long.
_PAUSE_SECONDS: Final = 5.0
_LONGEST_PAUSE_SECONDS: Final = 60.0


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


_NO_KEYS: Final = KeyRing()


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
    return parse_keys(read_text(path))


class PayloadKeys:
    """The key ring of a process, which follows its file; without a file there are no keys.

    `lacking` is set once payloads show that keys are missing.
    """

    def __init__(self, path: Path | None = None) -> None:
        """Read the file.

        Raises:
            SettingsError: the file cannot be read, or is malformed.
        """
        self.lacking = asyncio.Event()
        self._misses = 0
        self._pause = _PAUSE_SECONDS
        self.file: WatchedFiles[KeyRing] | None = None
        if path is None:
            return
        with naming(PAYLOAD_KEYS_FILE):
            self.file = WatchedFiles("payload_keys", [path], lambda: read_keys(path))

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
        return self.file is not None

    def ring(self) -> KeyRing:
        """Return the keys, at most 2 s older than the file."""
        return _NO_KEYS if self.file is None else self.file.get()

    def find(self, key_id: str) -> PayloadKey | None:
        """Return the key with this id; None if the file, looked at just now, has none."""
        key = self.ring().by_id.get(key_id)
        if key is None and self.file is not None:
            key = self.file.get(_LOOK_AGAIN_SECONDS).by_id.get(key_id)
        return key

    def digest(self, data: bytes) -> str:
        """Return a digest of what Temporal stores encrypted, in hexadecimal.

        Without the key that encrypts now, nobody can check a guess of the data. Where no key
        encrypts, Temporal stores the data in clear, and the digest has no key either.
        """
        key = self.ring().current()
        if key is None:
            return sha256(data).hexdigest()
        return hmac.digest(hmac.digest(key.secret, _DIGESTS, "sha256"), data, "sha256").hex()

    def count_read(self) -> None:
        """Note that a key decrypted a payload."""
        self._misses, self._pause = 0, _PAUSE_SECONDS

    def count_missing(self) -> None:
        """Note that a payload's key is missing or wrong here."""
        self._misses += 1
        if self._misses >= _MOST_MISSES:
            self.lacking.set()

    async def wait_for_key(self) -> None:
        """Wait until the file has changed, for 5 s at first and for a minute at most."""
        before = self.ring()

        async def changed() -> bool:
            return self.ring() is not before

        log.error("payload keys are missing here: no tasks are taken", seconds=self._pause)
        await poll(changed, seconds=self._pause, pause=0.5)
        self._misses, self._pause = 0, min(2 * self._pause, _LONGEST_PAUSE_SECONDS)
        self.lacking.clear()


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
