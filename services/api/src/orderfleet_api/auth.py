"""API keys: several at once, hashed at rest, compared in constant time, each with its roles.

A key is 256 random bits (`orderfleet api-key NAME` makes one), so one round of SHA-256 is enough:
there is no dictionary to try.
"""

import hmac
import ipaddress
import re
from hashlib import sha256
from typing import Any, Final, NamedTuple

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.types import Guard, Scope

from orderfleet.domain.roles import DEFAULT, SEPARATOR, Role, Roles
from orderfleet.environment import SettingsError
from orderfleet.runtime.listening import without_brackets
from orderfleet_api import errors

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


def requires(role: Role) -> dict[str, Role]:
    """Return the `opt` of a route that requires a role."""
    return {_ROLE: role}


def required_role(handler: BaseRouteHandler) -> Role | None:
    """Return the role that a route requires; None for a route that is open to everybody."""
    role: Role | None = handler.opt.get(_ROLE)
    return role


def require_role(keys: Keys) -> Guard:
    """Return the guard of key and role, for routes that `requires` names a role of.

    It answers 401 to a request without a valid key and 403 to a key without the role. Without keys
    every caller has the default roles. The name of the key becomes the request's user. A guard runs
    before anything of the query or the body is read, and within the request's span. One guard
    checks both: Litestar copies the route's handler for each guard.
    """

    async def guard(
        connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler
    ) -> None:
        scope = connection.scope
        roles = DEFAULT
        if keys:
            # The raw header: a key may be bytes in any encoding.
            name = name_of(keys, dict(scope["headers"]).get(b"authorization", b""))
            if name is None:
                raise errors.unauthorized()
            scope["user"] = name
            roles = keys[name].roles
        # Fails for a route without a role: no route is open by mistake.
        if scope.get("method") != _OPTIONS and (role := handler.opt[_ROLE]) not in roles:
            raise errors.missing_role(role)

    return guard


async def provide_actor(scope: Scope) -> str:
    """Return the name of the caller's key, empty where none is asked for."""
    return scope.get("user") or ""


def parse_keys(text: str) -> Keys:
    """Return the keys by name from `name:sha256[:roles],...`, roles as in `place+read`.

    Raises:
        SettingsError: it is something else, a name or a key comes twice, a key is empty, or a role
            is unknown.
    """
    keys: Keys = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        match = _KEY.fullmatch(part)
        if match is None or match[1] in keys:
            raise SettingsError(
                "ORDERFLEET_API_KEYS: expected name:sha256[:roles],... with each name once"
            )
        name, digest = match[1], bytes.fromhex(match[2])
        if any(digest == key.digest for key in keys.values()):
            raise SettingsError(f"ORDERFLEET_API_KEYS: {name} is a second name of the same key")
        if digest == digest_of(b""):
            raise SettingsError(f"ORDERFLEET_API_KEYS: {name} is the digest of an empty key")
        keys[name] = Key(digest, DEFAULT if match[3] is None else _parse_roles(name, match[3]))
    return keys


def _parse_roles(name: str, text: str) -> Roles:
    try:
        return frozenset(Role(part) for part in text.split(SEPARATOR))
    except ValueError:
        # The text stays unshown: it may be a key in the wrong place.
        expected = ", ".join(Role)
        raise SettingsError(
            f"ORDERFLEET_API_KEYS: {name} has an unknown role:"
            f" expected some of {expected}, joined by {SEPARATOR}"
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
