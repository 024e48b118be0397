"""The passwords of the local Postgres, in a file that `psql` reads too: PGPASSFILE."""

import secrets
from collections.abc import Collection
from pathlib import Path
from typing import Final

from orderfleet_cli.local.ports import LOOPBACK
from orderfleet_cli.private_files import file_errors, make_directory, write_private

FILE: Final = "pgpass"
_BYTES: Final = 24
_COLONS: Final = 4


@file_errors()
def find_passwords(data: Path, roles: Collection[str]) -> dict[str, str]:
    """Return the roles' passwords as stored in `data`; make all anew if one is missing.

    Raises:
        CommandError: the file cannot be read or written.
    """
    make_directory(data)
    path = data / FILE
    lines = path.read_text().splitlines() if path.exists() else []
    stored = dict(line.split(":")[-2:] for line in lines if line.count(":") == _COLONS)
    if stored.keys() == set(roles):
        return stored
    passwords = {role: secrets.token_hex(_BYTES) for role in roles}
    text = "".join(f"{LOOPBACK}:*:*:{role}:{password}\n" for role, password in passwords.items())
    write_private(path, text)
    return passwords
