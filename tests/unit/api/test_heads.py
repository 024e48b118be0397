"""Checks of a request's head: foreign hosts, foreign pages, repeated headers."""

from collections.abc import Sequence
from typing import Any

import pytest

from orderfleet_api.auth import digest_of
from orderfleet_api.middleware.heads import checked
from orderfleet_api.settings import ApiSettings

_KEYED = ApiSettings(api_keys=f"shop:{digest_of(b'key').hex()}")
_LOCAL = ApiSettings()
_OPEN = ApiSettings(api_host="0.0.0.0", api_open=True)  # noqa: S104
_HOST = ("host", "127.0.0.1:8000")


async def answered(
    settings: ApiSettings,
    *headers: tuple[str, str],
    method: str = "POST",
    http: str = "1.1",
) -> int:
    """Return the status; 200 comes from the application behind the checks."""
    sent: list[Any] = []

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope: Any = {
        "type": "http",
        "method": method,
        "path": "/orders/o-1/signals/cancel",
        "http_version": http,
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers],
        "query_string": b"",
        "state": {},
    }
    await checked(app, settings)(scope, receive, send)
    status: int = sent[0]["status"]
    if status != 200:
        assert (b"content-type", b"application/problem+json") in sent[0]["headers"]
    return status


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.0.0.1:8000", "127.9.9.9", "localhost:8000", "LocalHost", "[::1]:8000"],
)
async def test_without_keys_this_machines_own_names_are_answered(host: str) -> None:
    assert await answered(_LOCAL, ("host", host)) == 200
    assert await answered(_LOCAL, ("host", host), ("origin", f"http://{host}")) == 200


@pytest.mark.parametrize(
    "host",
    [
        "shop.example",
        "127.0.0.1.shop.example:8000",
        "localhost.shop.example",
        "evil.localhost:8000",
        "10.0.0.1:8000",
        "0.0.0.0:8000",
        "127.0.0.1@shop.example",
        "[::1",
        "[::2]:8000",
        "x",
        "2130706433",
        "127.1",
        "löcalhost",
    ],
)
async def test_without_keys_a_name_that_may_be_a_strangers_is_refused(host: str) -> None:
    assert await answered(_LOCAL, ("host", host)) == 403
    assert await answered(_LOCAL, ("host", host), method="GET") == 403
    # Behind an ingress the API has any name.
    for settings in (_KEYED, _OPEN):
        assert await answered(settings, ("host", host)) == 200


@pytest.mark.parametrize(
    "foreign",
    [
        [("origin", "http://shop.example")],
        [("origin", "null")],
        [("origin", "")],
        [("origin", "http://127.0.0.1:3000")],
        [("origin", "http://localhost:8000")],
        [("origin", "http://127.0.0.1")],
        [("origin", "http://127.0.0.1:8000/")],
        [("sec-fetch-site", "cross-site")],
        [("sec-fetch-site", "same-site")],
        [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors")],
        [("sec-fetch-site", "cross-site"), ("content-type", "text/plain")],
        [("sec-fetch-site", "unknown")],
    ],
)
async def test_without_keys_a_page_of_another_origin_is_refused(
    foreign: Sequence[tuple[str, str]],
) -> None:
    for method in ("POST", "GET", "OPTIONS", "DELETE"):
        assert await answered(_LOCAL, _HOST, *foreign, method=method) == 403
        assert await answered(_OPEN, _HOST, *foreign, method=method) == 403
        # Nothing that a browser has makes a key.
        assert await answered(_KEYED, _HOST, *foreign, method=method) == 200


async def test_a_link_to_the_documentation_can_be_followed_and_its_page_works() -> None:
    link = [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")]
    assert await answered(_LOCAL, _HOST, *link, method="GET") == 200
    # Sending a form of another page is a navigation too.
    assert await answered(_LOCAL, _HOST, *link, method="POST") == 403
    own = [("sec-fetch-site", "same-origin"), ("origin", "http://127.0.0.1:8000")]
    assert await answered(_LOCAL, _HOST, *own) == 200
    assert await answered(_LOCAL, _HOST, ("sec-fetch-site", "none"), method="GET") == 200


async def test_the_name_must_be_said_once() -> None:
    for settings in (_LOCAL, _KEYED, _OPEN):
        assert await answered(settings) == 400
        assert await answered(settings, ("host", "")) == 400
        assert await answered(settings, _HOST, _HOST) == 400
        # Health checks of that version do without.
        assert await answered(settings, http="1.0", method="GET") == 200


@pytest.mark.parametrize(
    "name",
    ["authorization", "content-type", "idempotency-key", "last-event-id", "origin", "host"],
)
async def test_what_there_is_one_of_must_not_come_twice(name: str) -> None:
    for settings in (_LOCAL, _KEYED):
        # Also with the same value: a proxy may have read the other header.
        assert await answered(settings, _HOST, (name, "a"), (name, "a")) == 400
        assert await answered(settings, _HOST, (name, "a"), (name, "b")) == 400


@pytest.mark.parametrize(
    ("coding", "status"),
    [("gzip", 415), ("br", 415), ("identity", 200), ("gzip, identity", 415), ("x", 415)],
)
async def test_a_body_is_sent_plain(coding: str, status: int) -> None:
    sent = ("content-encoding", coding)
    assert await answered(_LOCAL, _HOST, sent, ("content-length", "2")) == status
    assert await answered(_LOCAL, _HOST, sent, ("transfer-encoding", "chunked")) == status
    # Said of nothing it does no harm.
    assert await answered(_LOCAL, _HOST, sent, method="GET") == 200
