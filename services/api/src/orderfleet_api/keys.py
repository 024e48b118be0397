"""API keys: several at once, hashed at rest, compared in constant time.

A key is 256 random bits (`orderfleet api-key NAME` makes one), so one round of SHA-256 is enough:
there is no dictionary to try.
"""

import hmac
import ipaddress
import re
from hashlib import sha256
from typing import Final

from orderfleet.environment import SettingsError
from orderfleet.runtime.listening import bare

_KEY: Final = re.compile(r"([A-Za-z0-9._-]{1,64}):([0-9a-f]{64})")
_SCHEME: Final = b"bearer"

Keys = dict[str, bytes]


def parse_keys(text: str) -> Keys:
    """Return names and digests from `name:sha256,name:sha256`.

    Raises:
        SettingsError: it is something else, a name or a key comes twice, or a key is empty.
    """
    keys: Keys = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        found = _KEY.fullmatch(part)
        if found is None or found[1] in keys:
            raise SettingsError("ORDERFLEET_API_KEYS: wanted name:sha256,... with each name once")
        digest = bytes.fromhex(found[2])
        if digest in keys.values():
            raise SettingsError(f"ORDERFLEET_API_KEYS: {found[1]} is a second name of one key")
        if digest == digest_of(b""):
            raise SettingsError(f"ORDERFLEET_API_KEYS: {found[1]} is the digest of an empty key")
        keys[found[1]] = digest
    return keys


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach an address."""
    try:
        return ipaddress.ip_address(bare(host)).is_loopback
    except ValueError:
        return host == "localhost"


def name_of(keys: Keys, header: bytes) -> str | None:
    """Return the name of the key in an Authorization header, or None if it is none of ours."""
    scheme, _, key = header.partition(b" ")
    if scheme.lower() != _SCHEME:
        return None
    digest = digest_of(key.strip(b" "))
    name = None
    for known, expected in keys.items():
        # Every key is compared, so that the time taken tells nothing.
        if hmac.compare_digest(digest, expected):
            name = known
    return name


def digest_of(key: bytes) -> bytes:
    """Return what is kept of a key."""
    return sha256(key).digest()
