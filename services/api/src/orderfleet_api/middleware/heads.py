"""The head of a request: what it must not say twice, and whom a keyless API listens to.

A browser sends any page's requests to this machine. Where nobody needs a key, only the page's
origin and the name by which it reached the API tell the owner's own page from a stranger's.
"""

import ipaddress
from collections.abc import Iterable
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

from litestar import Request
from litestar.enums import ScopeType
from litestar.plugins.problem_details import ProblemDetailsException
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send

from orderfleet_api import errors
from orderfleet_api.auth import is_loopback
from orderfleet_api.settings import ApiSettings

# Two of them, and a proxy may have believed the other one.
_ONCE: Final = frozenset(
    {
        b"authorization",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"host",
        b"idempotency-key",
        b"last-event-id",
        b"origin",
        b"sec-fetch-mode",
        b"sec-fetch-site",
        b"transfer-encoding",
    }
)
_SAFE: Final = frozenset({"GET", "HEAD"})

Head = dict[bytes, bytes]


def checked(app: ASGIApp, settings: ApiSettings) -> ASGIApp:
    """Return the application without the requests whose head cannot be trusted.

    Around the whole application: a middleware within it never sees what no route takes.
    """
    keyless = not settings.keys
    # With `ORDERFLEET_API_OPEN` it may have any name: that of a proxy on this machine too.
    local = keyless and not settings.api_open and is_loopback(settings.api_host)

    async def handle(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == ScopeType.HTTP:
            try:
                head = _head(scope)
                host = _host(scope, head)
                if local:
                    _only_local(host)
                if keyless:
                    _only_own_pages(scope, head, host)
            except ProblemDetailsException as error:
                refuse = error.to_response(Request(scope)).to_asgi_response(None, Request(scope))
                await refuse(scope, receive, send)
                return
        await app(scope, receive, send)

    return handle


def _head(scope: HTTPScope) -> Head:
    """Return the headers; of those that are lists, the last one of a name."""
    head: Head = {}
    for name, value in scope["headers"]:
        if name in head and name in _ONCE:
            raise errors.bad_request(f"the header {name.decode('latin-1')} comes twice")
        head[name] = value
    coding = head.get(b"content-encoding", b"identity").strip().lower()
    if coding != b"identity" and has_body(head.items()):
        raise errors.problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "the body must not be compressed",
            headers={"Accept-Encoding": "identity"},
        )
    return head


def has_body(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Tell whether a body follows."""
    head = dict(headers)
    return head.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in head


def _host(scope: HTTPScope, head: Head) -> str:
    """Return the name by which the API was reached; HTTP/1.0 need not say it."""
    host = head.get(b"host", b"").decode("latin-1").strip().lower()
    if not host and scope["http_version"] == "1.1":
        raise errors.bad_request("the header host is missing")
    return host


def _only_local(host: str) -> None:
    """Refuse a name that a stranger's domain may have been given for this machine's address."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        name = ""
    if host and not _is_own_name(name):
        raise errors.forbidden("without keys, the API answers to localhost and 127.0.0.1 only")


def _is_own_name(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def _only_own_pages(scope: HTTPScope, head: Head, host: str) -> None:
    """Refuse what a page of another origin asks for; a link to this one may be followed."""
    origin = head.get(b"origin")
    if origin is not None and origin.decode("latin-1").lower() not in {
        f"http://{host}",
        f"https://{host}",
    }:
        raise errors.forbidden("without keys, no page of another origin is answered")
    site = head.get(b"sec-fetch-site", b"none").strip().lower()
    followed = scope["method"] in _SAFE and head.get(b"sec-fetch-mode") == b"navigate"
    if site not in {b"none", b"same-origin"} and not followed:
        raise errors.forbidden("without keys, no page of another origin is answered")
