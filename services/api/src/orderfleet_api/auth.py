"""API keys: several at once, hashed at rest, compared in constant time, each with its roles.

A key is 256 random bits (`orderfleet api-key NAME` makes one), so one round of SHA-256 is enough:
there is no dictionary to try.
"""

import hmac
import ipaddress
import re
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, NamedTuple

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.types import Guard, Scope

from orderfleet.domain.roles import DEFAULT, SEPARATOR, Role, Roles
from orderfleet.environment import SettingsError
from orderfleet.runtime.listening import without_brackets
from orderfleet.settings import naming
from orderfleet.watched_files import WatchedFiles, read_text
from orderfleet_api import errors

KEYS: Final = "ORDERFLEET_API_KEYS"
KEYS_FILE: Final = "ORDERFLEET_API_KEYS_FILE"

_KEY: Final = re.compile(r"([A-Za-z0-9._-]{1,64}):([0-9a-f]{64})(?::(.*))?")
_SCHEME: Final = b"bearer"
_ROLE: Final = "role"
# What an OPTIONS request learns, the path's methods, is open to every key.
_OPTIONS: Final = "OPTIONS"


class Key(NamedTuple):
    """What is stored of a key."""

    digest: bytes
    roles: Roles


Keys = dict[str, Key]


class ApiKeys:
    """The keys that are in force: of a text, or of a file, which they follow."""

    def __init__(self, text: str, path: str) -> None:
        """Parse the text, or read the file if there is a path.

        Raises:
            SettingsError: the text or the file is malformed, or the file cannot be read.
        """
        self.file: WatchedFiles[Keys] | None = None
        self._keys = parse_keys(text)
        if path:
            with naming(KEYS_FILE):
                self.file = WatchedFiles("api_keys", [Path(path)], lambda: _read_keys(Path(path)))

    def current(self) -> Keys:
        """Return the keys, at most 2 s older than their file; none if no key is required."""
        return self._keys if self.file is None else self.file.get()


def requires(role: Role) -> dict[str, Role]:
    """Return the `opt` of a route that requires a role."""
    return {_ROLE: role}


def required_role(handler: BaseRouteHandler) -> Role | None:
    """Return the role that a route requires; None for a route that is open to everybody."""
    role: Role | None = handler.opt.get(_ROLE)
    return role


def require_role(current: Callable[[], Keys]) -> Guard:
    """Return the guard of key and role, for routes that `requires` names a role of.

    It answers 401 to a request without a valid key and 403 to a key without the role. Without keys
    every caller has the default roles. The name of the key becomes the request's user, its roles
    `scope["auth"]`. A guard runs before anything of the query or the body is read, and within the
    request's span. One guard checks both: Litestar copies the route's handler for each guard.
    """

    async def guard(
        connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler
    ) -> None:
        scope = connection.scope
        roles = DEFAULT
        if keys := current():
            # The raw header: a key may be bytes in any encoding.
            name = name_of(keys, dict(scope["headers"]).get(b"authorization", b""))
            if name is None:
                raise errors.unauthorized()
            scope["user"] = name
            scope["auth"] = roles = keys[name].roles
        # Fails for a route without a role: no route is open by mistake.
        if scope.get("method") != _OPTIONS and (role := handler.opt[_ROLE]) not in roles:
            raise errors.missing_role(role)

    return guard


async def provide_actor(scope: Scope) -> str:
    """Return the name of the caller's key, empty where none is asked for."""
    return scope.get("user") or ""


async def provide_roles(scope: Scope) -> Roles:
    """Return the roles of the caller's key, the default ones where none is asked for."""
    return scope.get("auth") or DEFAULT


def parse_keys(text: str, variable: str = KEYS) -> Keys:
    """Return the keys by name from `name:sha256[:roles],...`, roles as in `place+read`.

    Raises:
        SettingsError: it is something else, a name or a key comes twice, a key is empty, or a role
            is unknown.
    """
    keys: Keys = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        match = _KEY.fullmatch(part)
        if match is None or match[1] in keys:
            raise SettingsError(f"{variable}: expected name:sha256[:roles],... with each name once")
        name, digest = match[1], bytes.fromhex(match[2])
        if any(digest == key.digest for key in keys.values()):
            raise SettingsError(f"{variable}: {name} is a second name of the same key")
        if digest == digest_of(b""):
            raise SettingsError(f"{variable}: {name} is the digest of an empty key")
        roles = DEFAULT if match[3] is None else _parse_roles(f"{variable}: {name}", match[3])
        keys[name] = Key(digest, roles)
    return keys


def _read_keys(path: Path) -> Keys:
    """Return the keys of a file: lines or commas between them, and comments after `#`."""
    lines = (line.partition("#")[0] for line in read_text(path).splitlines())
    keys = parse_keys(",".join(lines), KEYS_FILE)
    if not keys:
        # No key at all would admit everybody.
        raise SettingsError(f"{KEYS_FILE}: there is no key")
    return keys


def _parse_roles(key: str, text: str) -> Roles:
    try:
        return frozenset(Role(part) for part in text.split(SEPARATOR))
    except ValueError:
        # The text stays unshown: it may be a key in the wrong place.
        expected = ", ".join(Role)
        raise SettingsError(
            f"{key} has an unknown role: expected some of {expected}, joined by {SEPARATOR}"
        ) from None


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
    for candidate, stored in keys.items():
        # Compare with every key: the time must not depend on which of them matches.
        if hmac.compare_digest(digest, stored.digest):
            name = candidate
    return name


def digest_of(key: bytes) -> bytes:
    """Return the digest of a key."""
    return sha256(key).digest()
