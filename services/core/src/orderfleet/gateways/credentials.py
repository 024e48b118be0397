"""Credentials of a gateway over HTTP: a directory of files, such as a mounted Secret."""

import re
import ssl
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import httpx

from orderfleet.watched_files import MOST_BYTES, read_bytes

TOKEN: Final = "token"  # noqa: S105 (the names of files)
USER: Final = "username"
PASSWORD: Final = "password"  # noqa: S105
HEADERS: Final = "headers"
AUTHORITY: Final = "ca.crt"
CERTIFICATE: Final = "tls.crt"
PRIVATE_KEY: Final = "tls.key"
# As in Secrets of Kubernetes' own types basic-auth and tls.
FILES: Final = (TOKEN, USER, PASSWORD, HEADERS, AUTHORITY, CERTIFICATE, PRIVATE_KEY)

_HEADER: Final = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([!-~](?:[ -~]*[!-~])?)")
_WORD: Final = re.compile(r"[!-~]+")
# The client sets them itself, or they belong to a connection.
_RESERVED: Final = frozenset(
    {
        *("accept", "accept-encoding", "connection", "content-length", "content-type", "expect"),
        *("host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"),
    }
)


class CredentialsError(ValueError):
    """Files are missing or malformed; the message is one line and repeats no content."""


@dataclass(frozen=True)
class GatewayCredentials:
    """Headers of each request, certificates, and what no message may repeat."""

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    tls: ssl.SSLContext | None = None
    secrets: tuple[str, ...] = field(default=(), repr=False)


def read_credentials(url: str, directory: Path | None) -> GatewayCredentials:
    """Return the credentials of the directory's files, and of a user in the URL.

    Raises:
        CredentialsError: a file cannot be read or is malformed, or files contradict each other.
    """
    user, password = _userinfo(url)
    if directory is None:
        return GatewayCredentials(secrets=_basic(user, password)[1:] if password else ())
    files = dict(_read(directory))
    if not files:
        raise CredentialsError(f"{directory} has none of {', '.join(FILES)}")
    headers = dict(_headers(files))
    ways = [user, files.get(TOKEN), files.get(USER), headers.get("authorization")]
    if sum(way is not None for way in ways) > 1:
        raise CredentialsError(
            f"{directory}: more than one authorization: expected one of a user in the URL,"
            f" {TOKEN}, {USER} and an Authorization in {HEADERS}"
        )
    secrets = [password, *headers.values()]
    if TOKEN in files:
        token = _text(files, TOKEN, _WORD)
        headers["authorization"] = f"Bearer {token}"
        secrets.append(token)
    if USER in files or PASSWORD in files:
        _both(files, USER, PASSWORD)
        authorization, *rest = _basic(_text(files, USER), _text(files, PASSWORD))
        headers["authorization"] = authorization
        secrets += rest
    tls = _tls(files, directory)
    if tls and not url.startswith("https:"):
        raise CredentialsError(f"{directory} has certificates, but the URL is not https")
    return GatewayCredentials(headers, tls, tuple(filter(None, secrets)))


def _userinfo(url: str) -> tuple[str | None, str]:
    parts = urlsplit(url)
    return parts.username, unquote(parts.password or "")


def _basic(user: str | None, password: str) -> tuple[str, str, str]:
    """Return the header of HTTP basic authentication, and its secrets."""
    encoded = b64encode(f"{user or ''}:{password}".encode()).decode()
    return f"Basic {encoded}", encoded, password


def _read(directory: Path) -> Iterator[tuple[str, bytes]]:
    if not directory.is_dir():
        raise CredentialsError(f"{directory} is not a directory")
    for name in FILES:
        try:
            data = read_bytes(directory / name)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise CredentialsError(f"{directory / name}: {error.strerror}") from None
        except ValueError:
            raise CredentialsError(f"{name} has more than {MOST_BYTES} bytes") from None
        yield name, data


def _text(files: Mapping[str, bytes], name: str, pattern: re.Pattern[str] | None = None) -> str:
    """Return a text without the end of line that an editor adds."""
    try:
        text = files[name].decode().rstrip("\r\n")
    except UnicodeDecodeError:
        text = ""
    # A colon ends the user of basic authentication.
    allowed = pattern.fullmatch(text) if pattern else text.isprintable()
    if not text or not allowed or (name == USER and ":" in text):
        raise CredentialsError(f"{name}: expected one line of visible characters")
    return text


def _headers(files: Mapping[str, bytes]) -> Iterator[tuple[str, str]]:
    """Yield the own headers, a line each, by their names in lower case."""
    seen = set()
    for number, line in enumerate(files.get(HEADERS, b"").decode("latin-1").splitlines(), 1):
        if not line.strip():
            continue
        match = _HEADER.fullmatch(line.strip())
        if match is None:
            raise CredentialsError(f"{HEADERS}, line {number}: expected `Name: value`")
        name = match[1].lower()
        if name in _RESERVED or name in seen:
            what = "is repeated" if name in seen else "cannot be set"
            raise CredentialsError(f"{HEADERS}, line {number}: {name} {what}")
        seen.add(name)
        yield name, match[2]


def _both(files: Mapping[str, bytes], one: str, other: str) -> None:
    for name, missing in ((one, other), (other, one)):
        if name in files and missing not in files:
            raise CredentialsError(f"{name} without {missing}")


def _tls(files: Mapping[str, bytes], directory: Path) -> ssl.SSLContext | None:
    _both(files, CERTIFICATE, PRIVATE_KEY)
    if not {AUTHORITY, CERTIFICATE} & files.keys():
        return None
    context = httpx.create_ssl_context()
    if AUTHORITY in files:
        try:
            # Trusts this authority only, not the public ones.
            context = ssl.create_default_context(cadata=files[AUTHORITY].decode("ascii"))
        except (ssl.SSLError, ValueError):
            raise CredentialsError(f"{AUTHORITY}: expected certificates in PEM") from None
    if CERTIFICATE in files:
        try:
            # Without a password, OpenSSL would ask for it on the terminal.
            context.load_cert_chain(
                directory / CERTIFICATE, directory / PRIVATE_KEY, password=lambda: b""
            )
        except (OSError, ValueError):
            raise CredentialsError(
                f"{CERTIFICATE} and {PRIVATE_KEY}: expected a certificate and its key in PEM"
            ) from None
    return context
