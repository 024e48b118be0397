"""Complete the environment of a command: with the addresses of the local fleet, then from .env.

A directory may be anybody's. So .env sets the product's own variables only, and no credential of
the environment goes to an address that was read from the directory.
"""

import os
import re
import sys
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from orderfleet_cli.errors import UsageError
from orderfleet_cli.fleet_addresses import (
    ADDRESSES,
    DATABASE,
    INTERNAL_URL,
    TEMPORAL,
    URL,
    find_local_fleet,
    points_elsewhere,
    read_variables,
)

_ENV: Final = Path(".env")

# What .env may set; other variables could decide which programs and libraries run.
OWN_PREFIXES: Final = ("ORDERFLEET_", "TEMPORAL_", "OTEL_")
OWN_NAMES: Final = frozenset(
    {
        DATABASE,
        "DATABASE_PASSWORD_FILE",
        "LOG_LEVEL",
        "ORDER_DEADLINE_SECONDS",
        "ORDER_TASK_QUEUE",
        "REVIEW_SECONDS",
        "SHIPPING_TASK_QUEUE",
    }
)


class _Server(NamedTuple):
    """The variables of a server: its addresses, all its settings, and its credentials."""

    addresses: frozenset[str]
    settings: re.Pattern[str]
    credentials: re.Pattern[str]


_GATEWAYS: Final = ("ORDERFLEET_PAYMENT_GATEWAY", "ORDERFLEET_CARRIER")
_SERVERS: Final = (
    _Server(
        frozenset({URL}),
        re.compile(f"{URL}|{INTERNAL_URL}"),
        re.compile("ORDERFLEET_API_KEY"),
    ),
    _Server(
        frozenset({TEMPORAL, "TEMPORAL_TARGET"}),
        re.compile("TEMPORAL_.*"),
        re.compile("TEMPORAL_(API_KEY(_FILE)?|TLS_CLIENT_.*|GRPC_META_.*)"),
    ),
    _Server(
        frozenset({DATABASE}),
        re.compile(f"{DATABASE}|DATABASE_PASSWORD_FILE"),
        re.compile("DATABASE_PASSWORD_FILE|PG(PASS.*|SSLKEY|SSLCERT)"),
    ),
    _Server(
        frozenset({"ORDERFLEET_TEMPORAL_DATABASE_URL", "ORDERFLEET_VISIBILITY_DATABASE_URL"}),
        re.compile("ORDERFLEET_(TEMPORAL|VISIBILITY)_DATABASE_.*"),
        re.compile("ORDERFLEET_TEMPORAL_DATABASE_PASSWORD_FILE"),
    ),
    _Server(
        frozenset({"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"}),
        re.compile("OTEL_EXPORTER_OTLP_.*"),
        re.compile("OTEL_EXPORTER_OTLP_(TRACES_)?(HEADERS|CLIENT_.*)"),
    ),
    *(
        _Server(
            frozenset({f"{gateway}_URL"}),
            re.compile(f"{gateway}_(URL|CREDENTIALS)"),
            re.compile(f"{gateway}_CREDENTIALS"),
        )
        for gateway in _GATEWAYS
    ),
)
# What they name is sent to a server.
_PATHS: Final = (
    *(f"{gateway}_CREDENTIALS" for gateway in _GATEWAYS),
    "DATABASE_PASSWORD_FILE",
    "ORDERFLEET_TEMPORAL_DATABASE_PASSWORD_FILE",
    "TEMPORAL_API_KEY_FILE",
)


def load_environment() -> None:
    """Add to the environment what it lacks.

    An address in the environment means another fleet: the local fleet's addresses are then ignored.

    Raises:
        UsageError: .env cannot be read, or names credentials in another directory.
    """
    exported = {name for name, value in os.environ.items() if value}
    local, trusted = ({}, False) if ADDRESSES & exported else find_local_fleet()
    variables = {
        name: value
        for name, value in read_variables(_ENV).items()
        # A Postgres or a Temporal in .env is not the one that `up` runs.
        if _is_own(name) and not (local and points_elsewhere(name))
    } | local
    for name in _PATHS:
        _check_inside(name, variables)
    for server in _SERVERS:
        if server.addresses & exported:
            # The environment names the server, so .env may add no more than credentials.
            for name in filter(server.settings.fullmatch, tuple(variables)):
                if not server.credentials.fullmatch(name):
                    del variables[name]
        elif server.addresses & variables.keys() and not trusted:
            _withhold(filter(server.credentials.fullmatch, exported), variables)
    try:
        for name, value in variables.items():
            if not os.environ.get(name):
                os.environ[name] = value
    except ValueError as error:
        raise UsageError(f"{_ENV}: {error}") from None


def _check_inside(name: str, variables: Mapping[str, str]) -> None:
    """Refuse a path elsewhere: .env would send somebody's secrets to its own address."""
    if name in variables and not Path(variables[name]).resolve().is_relative_to(
        Path.cwd().resolve()
    ):
        raise UsageError(f"{_ENV}: {name}: expected a path below this directory")


def _withhold(credentials: Iterable[str], replacements: Collection[str]) -> None:
    """Remove credentials from the environment; warn about each that is not replaced."""
    for name in credentials:
        del os.environ[name]
        if name not in replacements:
            print(
                f"orderfleet: {name} of the environment is not sent to an address from {_ENV}; "
                "set both in one place",
                file=sys.stderr,
            )


def _is_own(name: str) -> bool:
    return name.startswith(OWN_PREFIXES) or name in OWN_NAMES
