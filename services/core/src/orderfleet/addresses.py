"""Checks of the addresses of Postgres and Temporal: what can never work ends a process at once."""

import re
from collections.abc import Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, parse_qsl, quote, urlencode, urlsplit, urlunsplit

# A host with or without a port; an IPv6 address is in brackets.
_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:/?#@\s]*)(?::([0-9]{1,5}))?")
_SCHEMES: Final = frozenset({"postgresql", "postgres", "postgresql+asyncpg"})
_SSL_MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_SSL_FILES: Final = frozenset({"sslrootcert", "sslcert", "sslkey", "sslcrl"})
_LARGEST_PORT: Final = 65535
# Of a URL's parameters, those of libpq that asyncpg does not read and would send to the server,
# which refuses the connection for them. The time-outs are the pool's own.
_CLIENT_ONLY: Final = frozenset(
    {
        *("connect_timeout", "tcp_user_timeout", "load_balance_hosts", "target_session_attrs"),
        *("keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count"),
        *("channel_binding", "gssencmode", "sslcompression", "sslsni"),
    }
)
# What these parameters may be, and what is said of another value.
_CHOICES: Final[Mapping[str, tuple[tuple[str, ...], str]]] = {
    "sslmode": (_SSL_MODES, ""),
    "target_session_attrs": (("any", "primary", "read-write"), ": the fleet writes"),
    "channel_binding": (("disable", "prefer"), ": sslmode=verify-full proves who the server is"),
}


def check_temporal_address(text: str) -> None:
    """Check that a text is `host:port`.

    Raises:
        ValueError: it is something else; the message is one line.
    """
    match = _HOST.fullmatch(text)
    if match is None or not match[1] or not _is_port(match[2]):
        raise ValueError(f"expected host:port (got {text[:80]!r})")


def check_database_url(text: str) -> None:
    """Check that a text is a URL of Postgres.

    Raises:
        ValueError: it is something else; the message is one line and repeats no password.
    """
    try:
        url = urlsplit(text)
    except ValueError:
        url = SplitResult("", "", "", "", "")
    parameters = dict(parse_qsl(url.query, keep_blank_values=True))
    if (
        url.scheme not in _SCHEMES
        or len(url.path) <= 1
        or not all(map(_is_host, _hosts(url, parameters)))
    ):
        raise ValueError("expected postgresql://user:password@host:port/database")
    if not all(parameters.values()) or url.query.count("=") < len(url.query.split("&")) - 1:
        raise ValueError("expected parameters of the form name=value")
    for name, (choices, why) in _CHOICES.items():
        if parameters.get(name, choices[0]) not in choices:
            raise ValueError(f"expected {name}={'|'.join(choices)}{why}")


def host_urls(text: str) -> list[str]:
    """Return a URL of Postgres for each of its hosts, with the parameters that asyncpg reads.

    The hosts stand before the database's name or, as in libpq, in the parameters `host` and `port`.
    """
    url = urlsplit(text.replace("+asyncpg", "", 1))
    parameters = dict(parse_qsl(url.query))
    kept = {name: value for name, value in parameters.items() if name not in _CLIENT_ONLY}
    hosts = _hosts(url, parameters)
    if hosts == [""]:
        # A socket's directory, or the environment's host.
        return [urlunsplit(url._replace(query=_joined(kept)))]
    query = _joined({name: kept[name] for name in kept if name not in {"host", "port"}})
    user, at, _ = url.netloc.rpartition("@")
    return [urlunsplit(url._replace(netloc=f"{user}{at}{host}", query=query)) for host in hosts]


def check_database_files(url: str) -> None:
    """Check that the files which a URL of Postgres names can be read.

    Raises:
        OSError: one of them cannot.
    """
    for name, path in parse_qsl(urlsplit(url).query):
        if name in _SSL_FILES:
            Path(path).open("rb").close()


def _hosts(url: SplitResult, parameters: Mapping[str, str]) -> list[str]:
    """Return the hosts with their ports; an empty one if there is none, or if it is a socket."""
    before = url.netloc.rpartition("@")[2].split(",")
    named = parameters.get("host", "").split(",")
    if before != [""] or any(host.startswith("/") for host in named):
        return before
    ports = parameters.get("port", "").split(",")
    if len(ports) == 1:
        ports *= len(named)
    pairs = zip_longest(named, ports, fillvalue="?")
    return [f"{host}:{port}" if host and port else host for host, port in pairs]


def _joined(parameters: Mapping[str, str]) -> str:
    return urlencode(parameters, quote_via=quote)


def _is_host(text: str) -> bool:
    match = _HOST.fullmatch(text)
    return match is not None and (match[2] is None or _is_port(match[2]))


def _is_port(text: str | None) -> bool:
    return text is not None and 0 < int(text) <= _LARGEST_PORT
