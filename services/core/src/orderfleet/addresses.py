"""Checks of the addresses of Postgres and Temporal: what can never work ends a process at once."""

import re
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, parse_qsl, urlsplit

# A host with or without a port; an IPv6 address is in brackets.
_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:/?#@\s]*)(?::([0-9]{1,5}))?")
_SCHEMES: Final = frozenset({"postgresql", "postgres", "postgresql+asyncpg"})
_SSL_MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_SSL_FILES: Final = frozenset({"sslrootcert", "sslcert", "sslkey", "sslcrl"})
_LARGEST_PORT: Final = 65535


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
    hosts = [_HOST.fullmatch(host) for host in url.netloc.rpartition("@")[2].split(",")]
    if (
        url.scheme not in _SCHEMES
        or len(url.path) <= 1
        or not all(host and (host[2] is None or _is_port(host[2])) for host in hosts)
    ):
        raise ValueError("expected postgresql://user:password@host:port/database")
    mode = dict(parse_qsl(url.query)).get("sslmode")
    if mode is not None and mode not in _SSL_MODES:
        raise ValueError(f"expected an sslmode of {', '.join(_SSL_MODES)}")


def check_database_files(url: str) -> None:
    """Check that the files which a URL of Postgres names can be read.

    Raises:
        OSError: one of them cannot.
    """
    for name, path in parse_qsl(urlsplit(url).query):
        if name in _SSL_FILES:
            Path(path).open("rb").close()


def _is_port(text: str | None) -> bool:
    return text is not None and 0 < int(text) <= _LARGEST_PORT
