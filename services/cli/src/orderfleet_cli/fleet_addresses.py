"""Where the fleet of this directory answers: `up` and `demo` write a file for other commands."""

import fcntl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from dotenv import dotenv_values

from orderfleet_cli.errors import UsageError
from orderfleet_cli.private_files import is_private, write_private

DATA: Final = Path(".data")
DEMO_DATA: Final = DATA / "demo"

URL: Final = "ORDERFLEET_URL"
INTERNAL_URL: Final = "ORDERFLEET_API_INTERNAL_URL"
TEMPORAL: Final = "TEMPORAL_ADDRESS"
DATABASE: Final = "DATABASE_URL"
ADDRESSES: Final = frozenset({URL, INTERNAL_URL, TEMPORAL, "TEMPORAL_TARGET", DATABASE})

_FILE: Final = "addresses.env"
_COMMENT: Final = "# Where the fleet that runs here answers; removed when it stops.\n"


def write_addresses(data: Path, addresses: Mapping[str, str]) -> None:
    """Write where the fleet in `data` answers."""
    lines = "".join(f"{name}={value}\n" for name, value in addresses.items())
    write_private(data / _FILE, _COMMENT + lines)


@contextmanager
def hold_addresses(data: Path) -> Iterator[None]:
    """Lock the addresses until the block ends: they are those of a running fleet."""
    with (data / _FILE).open() as file:
        # A file that came with a directory from elsewhere has no lock.
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


def remove_addresses(data: Path) -> None:
    """Remove the addresses of the fleet in `data`."""
    (data / _FILE).unlink(missing_ok=True)


def find_local_fleet() -> tuple[dict[str, str], bool]:
    """Return the addresses that a fleet of this directory has left, and whether it runs.

    Raises:
        UsageError: the file cannot be read.
    """
    for data in (DATA, DEMO_DATA):
        variables = read_variables(data / _FILE)
        addresses = {name: value for name, value in variables.items() if name in ADDRESSES}
        if addresses:
            return addresses, _is_held(data)
    return {}, False


def local_data(database_url: str) -> Path | None:
    """Return the data directory of the fleet that runs here with this Postgres, None if none does.

    Raises:
        UsageError: a file of addresses cannot be read.
    """
    for data in (DATA, DEMO_DATA):
        if read_variables(data / _FILE).get(DATABASE) == database_url and _is_held(data):
            return data
    return None


def points_elsewhere(name: str) -> bool:
    """Return whether a variable of this name may point at another Postgres or Temporal."""
    return name.startswith(("PG", "TEMPORAL_", "DATABASE_")) or name in {URL, INTERNAL_URL}


def read_variables(path: Path) -> dict[str, str]:
    """Return the variables of an env file, none if there is no such file.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        # Not interpolated: what a `${NAME}` quotes could be a secret of the environment.
        values = dotenv_values(path, interpolate=False)
    except UnicodeDecodeError:
        raise UsageError(f"{path}: not UTF-8") from None
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    return {name: value for name, value in values.items() if value is not None}


def _is_held(data: Path) -> bool:
    """Return whether a process of this user holds the addresses."""
    if not is_private(data):
        return False
    try:
        with (data / _FILE).open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        # The fleet has just stopped.
        pass
    return False
