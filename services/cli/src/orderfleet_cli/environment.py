"""Which fleet a command speaks to: the environment, or the fleet that runs in this directory."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from dotenv import dotenv_values

DATA: Final = Path(".data")
DEMO_DATA: Final = DATA / "demo"

URL: Final = "ORDERFLEET_URL"
TEMPORAL: Final = "TEMPORAL_ADDRESS"
DATABASE: Final = "DATABASE_URL"
_ADDRESSES: Final = frozenset({URL, TEMPORAL, "TEMPORAL_TARGET", DATABASE})
_FILE: Final = "addresses.env"
_WORD: Final = "# Where the fleet that runs here answers; removed when it stops.\n"


def load_environment() -> None:
    """Add to the environment what it lacks: the addresses of the local fleet, then .env.

    Whoever names one address means another fleet: none is then taken from here.
    """
    local = {} if _ADDRESSES & os.environ.keys() else _local_addresses()
    for name, value in {**_read(Path(".env")), **local}.items():
        # A Postgres or a Temporal in .env is not the one that `up` runs.
        if name in local or not local or not points_elsewhere(name):
            os.environ.setdefault(name, value)


def points_elsewhere(name: str) -> bool:
    """Tell whether a variable of this name may point at another Postgres or Temporal."""
    return name.startswith(("PG", "TEMPORAL_")) or name in {URL, DATABASE}


def write_addresses(data: Path, addresses: Mapping[str, str]) -> None:
    """Write where the fleet in `data` answers."""
    lines = "".join(f"{name}={value}\n" for name, value in addresses.items())
    (data / _FILE).write_text(_WORD + lines)


def remove_addresses(data: Path) -> None:
    """Forget where the fleet in `data` answered."""
    (data / _FILE).unlink(missing_ok=True)


def _local_addresses() -> dict[str, str]:
    found = (_read(data / _FILE) for data in (DATA, DEMO_DATA))
    return next((addresses for addresses in found if addresses), {})


def _read(path: Path) -> dict[str, str]:
    return {name: value for name, value in dotenv_values(path).items() if value is not None}
