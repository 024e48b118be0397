"""The passwords of the local Postgres, in a file that `psql` reads as well: PGPASSFILE."""

import secrets
from collections.abc import Collection
from pathlib import Path
from typing import Final

from orderfleet_cli.local.ports import LOOPBACK
from orderfleet_cli.private_files import make_directory, write_private

FILE: Final = "pgpass"
_BYTES: Final = 24
_COLONS: Final = 4


def find_passwords(data: Path, roles: Collection[str]) -> dict[str, str]:
    """Return the roles' passwords as kept in `data`; make them all if one is not there."""
    make_directory(data)
    path = data / FILE
    lines = path.read_text().splitlines() if path.exists() else []
    kept = dict(line.split(":")[-2:] for line in lines if line.count(":") == _COLONS)
    if kept.keys() == set(roles):
        return kept
    made = {role: secrets.token_hex(_BYTES) for role in roles}
    text = "".join(f"{LOOPBACK}:*:*:{role}:{password}\n" for role, password in made.items())
    write_private(path, text)
    return made
