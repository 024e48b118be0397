"""API keys: several at once, hashed at rest, compared in constant time.

A key is 256 random bits (`orderfleet api-key NAME` makes one), so one round of SHA-256 is enough:
there is no dictionary to try.
"""

import hmac
import ipaddress
import re
from hashlib import sha256
from typing import Final

from orderfleet.listening import bare
from orderfleet.settings import SettingsError

_KEY: Final = re.compile(r"([A-Za-z0-9._-]{1,64}):([0-9a-f]{64})")
_SCHEME: Final = "bearer "

Keys = dict[str, bytes]


def parse_keys(text: str) -> Keys:
    """Return names and digests from `name:sha256,name:sha256`.

    Raises:
        SettingsError: it is something else, or a name comes twice.
    """
    keys: Keys = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        found = _KEY.fullmatch(part)
        if found is None or found[1] in keys:
            raise SettingsError("ORDERFLEET_API_KEYS: wanted name:sha256,... with each name once")
        keys[found[1]] = bytes.fromhex(found[2])
    return keys


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach an address."""
    try:
        return ipaddress.ip_address(bare(host)).is_loopback
    except ValueError:
        return host == "localhost"


def name_of(keys: Keys, header: str) -> str | None:
    """Return the name of the key in an Authorization header, or None if it is none of ours."""
    if not header.lower().startswith(_SCHEME):
        return None
    digest = sha256(header[len(_SCHEME) :].strip().encode()).digest()
    name = None
    for known, expected in keys.items():
        # Every key is compared, so that the time taken tells nothing.
        if hmac.compare_digest(digest, expected):
            name = known
    return name
