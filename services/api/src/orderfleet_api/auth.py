"""API keys: several at once, hashed at rest, compared in constant time.

A key is 256 random bits (`orderfleet api-key NAME` makes one), so one round of SHA-256 is enough:
there is no dictionary to try.
"""

import hmac
import ipaddress
import re
from hashlib import sha256
from typing import Any, Final

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.types import Guard, Scope

from orderfleet.environment import SettingsError
from orderfleet.runtime.listening import without_brackets
from orderfleet_api import errors

_KEY: Final = re.compile(r"([A-Za-z0-9._-]{1,64}):([0-9a-f]{64})")
_SCHEME: Final = b"bearer"

Keys = dict[str, bytes]


def require_key(keys: Keys) -> list[Guard]:
    """Return the guard that answers 401 to a request without a valid key; none without keys.

    The name of the key becomes the request's user. A guard runs before anything of the query or
    the body is read, and within the request's span.
    """

    async def guard(
        connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler
    ) -> None:
        # The raw header: a key may be bytes in any encoding.
        header = dict(connection.scope["headers"]).get(b"authorization", b"")
        name = name_of(keys, header)
        if name is None:
            raise errors.unauthorized()
        connection.scope["user"] = name

    return [guard] if keys else []


async def provide_actor(scope: Scope) -> str:
    """Return the name of the caller's key, empty where none is asked for."""
    return scope.get("user") or ""


def parse_keys(text: str) -> Keys:
    """Return names and digests from `name:sha256,name:sha256`.

    Raises:
        SettingsError: it is something else, a name or a key comes twice, or a key is empty.
    """
    keys: Keys = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        match = _KEY.fullmatch(part)
        if match is None or match[1] in keys:
            raise SettingsError("ORDERFLEET_API_KEYS: expected name:sha256,... with each name once")
        digest = bytes.fromhex(match[2])
        if digest in keys.values():
            raise SettingsError(f"ORDERFLEET_API_KEYS: {match[1]} is a second name of the same key")
        if digest == digest_of(b""):
            raise SettingsError(f"ORDERFLEET_API_KEYS: {match[1]} is the digest of an empty key")
        keys[match[1]] = digest
    return keys


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach an address."""
    try:
        return ipaddress.ip_address(without_brackets(host)).is_loopback
    except ValueError:
        return host == "localhost"


def name_of(keys: Keys, header: bytes) -> str | None:
    """Return the name of the key in an Authorization header, None if no key matches."""
    scheme, _, key = header.partition(b" ")
    if scheme.lower() != _SCHEME:
        return None
    digest = digest_of(key.strip(b" "))
    name = None
    for candidate, expected in keys.items():
        # Compare with every key: the time must not depend on which of them matches.
        if hmac.compare_digest(digest, expected):
            name = candidate
    return name


def digest_of(key: bytes) -> bytes:
    """Return what is stored of a key."""
    return sha256(key).digest()
