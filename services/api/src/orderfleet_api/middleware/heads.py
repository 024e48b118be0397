"""Checks of a request's head: no repeated headers, and without API keys no foreign web page.

A browser sends any page's requests to this machine. Without keys, only the page's origin and the
host name of the request tell the owner's own page from a stranger's, see
`docs/decisions/0022-whom-a-keyless-api-answers.md`.
"""

import ipaddress
from collections.abc import Iterable
from functools import lru_cache
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

# If one of these is repeated, a proxy may have acted on the other value.
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
_NO_FOREIGN_NAME: Final = "Without API keys, only localhost and loopback addresses are served."
_NO_FOREIGN_PAGE: Final = "Without API keys, pages of other origins are not served."
_SAFE: Final = frozenset({"GET", "HEAD"})

Head = dict[bytes, bytes]


def checked(app: ASGIApp, settings: ApiSettings) -> ASGIApp:
    """Return the application behind the checks.

    Around the whole application: a middleware of Litestar's never sees a request that no route
    takes.
    """
    keyless = not settings.keys
    # With `ORDERFLEET_API_OPEN` any name may lead here, also that of a proxy on this machine.
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
    """Return the headers by name; of a header that may be repeated, the last."""
    head: Head = {}
    for name, value in scope["headers"]:
        if name in head and name in _ONCE:
            raise errors.bad_request(f"The header {name.decode('latin-1')} must not be repeated.")
        head[name] = value
    coding = head.get(b"content-encoding", b"identity").strip().lower()
    if coding != b"identity" and has_body(head.items()):
        raise errors.problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "A compressed body is not supported.",
            headers={"Accept-Encoding": "identity"},
        )
    return head


def has_body(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Return whether a body follows."""
    head = dict(headers)
    return head.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in head


def _host(scope: HTTPScope, head: Head) -> str:
    """Return the header Host, which HTTP/1.0 does not require."""
    host = head.get(b"host", b"").decode("latin-1").strip().lower()
    if not host and scope["http_version"] == "1.1":
        raise errors.bad_request("The header host is required.")
    return host


def _only_local(host: str) -> None:
    """Refuse a foreign name: a stranger's domain may resolve to this machine (DNS rebinding)."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        name = ""
    if host and not _is_own_name(name):
        raise errors.forbidden(_NO_FOREIGN_NAME)


# Parsing an address takes 8 us, and nearly all requests have the same name.
@lru_cache(maxsize=64)
def _is_own_name(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def _only_own_pages(scope: HTTPScope, head: Head, host: str) -> None:
    """Refuse the requests of pages of other origins, except that a user follows a link."""
    origin = head.get(b"origin")
    if origin is not None and origin.decode("latin-1").lower() not in {
        f"http://{host}",
        f"https://{host}",
    }:
        raise errors.forbidden(_NO_FOREIGN_PAGE)
    site = head.get(b"sec-fetch-site", b"none").strip().lower()
    followed = scope["method"] in _SAFE and head.get(b"sec-fetch-mode") == b"navigate"
    if site not in {b"none", b"same-origin"} and not followed:
        raise errors.forbidden(_NO_FOREIGN_PAGE)
