"""Which fleet a command speaks to: the environment, the fleet that runs in this directory, or .env.

A directory may be anybody's: what is read there sets the product's own names only, and no
credential of the environment goes to an address that was read there.
"""

import fcntl
import os
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from dotenv import dotenv_values

from orderfleet_cli.errors import UsageError
from orderfleet_cli.private import is_private, write_private

DATA: Final = Path(".data")
DEMO_DATA: Final = DATA / "demo"

URL: Final = "ORDERFLEET_URL"
API_KEY: Final = "ORDERFLEET_API_KEY"
TEMPORAL: Final = "TEMPORAL_ADDRESS"
DATABASE: Final = "DATABASE_URL"
_ADDRESSES: Final = frozenset({URL, TEMPORAL, "TEMPORAL_TARGET", DATABASE})
_ENV: Final = Path(".env")
_FILE: Final = "addresses.env"
_WORD: Final = "# Where the fleet that runs here answers; removed when it stops.\n"

# What .env may set; without them it could also say which programs and libraries are run.
OWN_PREFIXES: Final = ("ORDERFLEET_", "TEMPORAL_", "OTEL_")
OWN_NAMES: Final = frozenset(
    {
        DATABASE,
        "LOG_LEVEL",
        "ORDER_DEADLINE_SECONDS",
        "ORDER_TASK_QUEUE",
        "REVIEW_SECONDS",
        "SHIPPING_TASK_QUEUE",
    }
)


class _Server(NamedTuple):
    """What belongs together: a server's addresses, what else is set for it, and credentials."""

    addresses: frozenset[str]
    settings: re.Pattern[str]
    credentials: re.Pattern[str]


_SERVERS: Final = (
    _Server(frozenset({URL}), re.compile(URL), re.compile(API_KEY)),
    _Server(
        frozenset({TEMPORAL, "TEMPORAL_TARGET"}),
        re.compile("TEMPORAL_.*"),
        re.compile("TEMPORAL_(API_KEY|TLS_CLIENT_.*|GRPC_META_.*)"),
    ),
    _Server(frozenset({DATABASE}), re.compile(DATABASE), re.compile("PG(PASS.*|SSLKEY|SSLCERT)")),
    _Server(
        frozenset({"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"}),
        re.compile("OTEL_EXPORTER_OTLP_.*"),
        re.compile("OTEL_EXPORTER_OTLP_(TRACES_)?(HEADERS|CLIENT_.*)"),
    ),
)


def load_environment() -> None:
    """Add to the environment what it lacks: the addresses of the local fleet, then .env.

    Whoever names one address means another fleet: none is then taken from here.

    Raises:
        UsageError: .env cannot be read.
    """
    named = {name for name, value in os.environ.items() if value}
    local, trusted = ({}, False) if _ADDRESSES & named else _local_addresses()
    given = {
        name: value
        for name, value in _read(_ENV).items()
        # A Postgres or a Temporal in .env is not the one that `up` runs.
        if _is_own(name) and not (local and points_elsewhere(name))
    } | local
    for server in _SERVERS:
        if server.addresses & named:
            # The environment's server is spoken to as the environment says.
            for name in filter(server.settings.fullmatch, tuple(given)):
                if not server.credentials.fullmatch(name):
                    del given[name]
        elif server.addresses & given.keys() and not trusted:
            _withhold(filter(server.credentials.fullmatch, named), given)
    try:
        for name, value in given.items():
            if not os.environ.get(name):
                os.environ[name] = value
    except ValueError as error:
        raise UsageError(f"{_ENV}: {error}") from None


def points_elsewhere(name: str) -> bool:
    """Tell whether a variable of this name may point at another Postgres or Temporal."""
    return name.startswith(("PG", "TEMPORAL_")) or name in {URL, DATABASE}


def write_addresses(data: Path, addresses: Mapping[str, str]) -> None:
    """Write where the fleet in `data` answers."""
    lines = "".join(f"{name}={value}\n" for name, value in addresses.items())
    write_private(data / _FILE, _WORD + lines)


@contextmanager
def hold_addresses(data: Path) -> Iterator[None]:
    """Vouch for the addresses until the block ends: they are those of a fleet that runs."""
    with (data / _FILE).open() as file:
        # A file that came with a directory from elsewhere has no lock.
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


def remove_addresses(data: Path) -> None:
    """Forget where the fleet in `data` answered."""
    (data / _FILE).unlink(missing_ok=True)


def _local_addresses() -> tuple[dict[str, str], bool]:
    """Return the addresses that a fleet of this directory has left, and whether it runs."""
    for data in (DATA, DEMO_DATA):
        found = _read(data / _FILE)
        addresses = {name: value for name, value in found.items() if name in _ADDRESSES}
        if addresses:
            return addresses, _is_held(data)
    return {}, False


def _is_held(data: Path) -> bool:
    """Tell whether a process of this user vouches for the addresses."""
    if not is_private(data):
        return False
    with (data / _FILE).open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _withhold(names: Iterable[str], given: Collection[str]) -> None:
    """Take credentials out of the environment, with a word unless others take their place."""
    for name in names:
        del os.environ[name]
        if name not in given:
            print(
                f"orderfleet: {name} of the environment is not sent to an address from {_ENV}: "
                "name both in one place",
                file=sys.stderr,
            )


def _is_own(name: str) -> bool:
    return name.startswith(OWN_PREFIXES) or name in OWN_NAMES


def _read(path: Path) -> dict[str, str]:
    try:
        # As it stands: what a `${NAME}` quotes could be a secret of the environment.
        found = dotenv_values(path, interpolate=False)
    except UnicodeDecodeError:
        raise UsageError(f"{path}: not UTF-8") from None
    return {name: value for name, value in found.items() if value is not None}
