"""The command `api-key`: make a key for the API."""

import re
import secrets
from collections.abc import Collection
from hashlib import sha256
from typing import Final

from orderfleet.domain.roles import DEFAULT, Role, in_order
from orderfleet_cli.errors import UsageError
from orderfleet_cli.printing import fields, show, show_json

# As the API parses its setting: `name:sha256[:roles],...`.
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_BYTES: Final = 32
_SETTING: Final = "ORDERFLEET_API_KEYS"


def make_key(name: str, roles: Collection[Role], *, as_json: bool) -> None:
    """Print a new random key and its entry for the API's setting; no roles are the default ones.

    Raises:
        UsageError: the name is invalid.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(f"invalid key name {name!r}: use up to 64 letters, digits, `.`, `_`, `-`")
    key = secrets.token_urlsafe(_BYTES)
    line = f"{name}:{sha256(key.encode()).hexdigest()}"
    granted = frozenset(roles) or DEFAULT
    if granted != DEFAULT:
        line += f":{in_order(granted)}"
    if as_json:
        granted_names = [role for role in Role if role in granted]
        show_json({"name": name, "key": key, "setting": line, "roles": granted_names})
        return
    show(
        fields(
            [
                ("key, for the client (ORDERFLEET_API_KEY)", key),
                (f"line, for the API ({_SETTING})", line),
                ("roles", in_order(granted)),
            ]
        )
    )
