"""Temporal's remote codec, for its UI and its CLI: they send payloads, and get them in clear.

The API serves it where payload keys are set, to API keys with the role `operate`. The CLI sends
the key as `--codec-auth 'Bearer KEY'`. The UI cannot send a key, but it sends cookies ("include
cross-origin credentials"): /codec/login is a page that sets the cookie, which a browser sends from
pages of the same site. Of pages of other origins, only those of the UI may use the codec.
"""

from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote, unquote

import structlog
from google.protobuf import json_format
from litestar import MediaType, Request, Response, Router, get, post
from litestar.datastructures import Cookie
from litestar.di import NamedDependency, Provide
from litestar.enums import ScopeType
from litestar.params import SkipValidation
from litestar.types import ASGIApp, Guard, HTTPScope, Message, Receive, Scope, Send
from temporalio.api.common.v1 import Payloads

from orderfleet.domain.roles import Role
from orderfleet.temporal.encryption import EncryptionCodec
from orderfleet_api import errors
from orderfleet_api.auth import requires
from orderfleet_api.dependencies import Actor

log = structlog.stdlib.get_logger(__name__)

InjectedCodec = NamedDependency[SkipValidation[EncryptionCodec]]

PATH: Final = "/codec"
_OPERATE: Final = requires(Role.OPERATE)
# All payloads of a page of a history; Temporal's own limit of a message is 4 MiB.
_MOST_BYTES: Final = 4 * 1024 * 1024
_COOKIE: Final = "orderfleet_codec"
_COOKIE_SECONDS: Final = 8 * 3600
_PREFLIGHT: Final = (
    (b"access-control-allow-methods", b"POST"),
    (
        b"access-control-allow-headers",
        b"authorization, authorization-extras, content-type, x-namespace",
    ),
    (b"access-control-max-age", b"600"),
)
_LOGIN: Final = """\
<!doctype html>
<html lang="en">
<title>Orderfleet: codec for Temporal's UI</title>
<form>
  <label>API key with the role operate <input type="password" autocomplete="off"></label>
  <button>Log in for 8 hours</button> <output></output>
</form>
<script>
  document.forms[0].onsubmit = async (event) => {
    event.preventDefault();
    const headers = { Authorization: `Bearer ${document.querySelector("input").value}` };
    const answer = await fetch("session", { method: "POST", headers });
    document.querySelector("output").value = answer.ok
      ? "Logged in: Temporal's UI shows payloads in clear now."
      : (await answer.json()).detail;
  };
</script>
</html>
"""


@post(f"{PATH}/decode", status_code=HTTPStatus.OK, opt=_OPERATE)
async def decode(
    request: Request[Any, Any, Any], codec: InjectedCodec, actor: Actor
) -> Response[str]:
    """Return payloads in clear; one without a key here as it is."""
    payloads = _parse(await request.body())
    shown = Payloads(payloads=[codec.reveal(payload) for payload in payloads.payloads])
    log.info("payloads decoded", actor=actor, payloads=len(shown.payloads))
    return _answer(shown)


@post(f"{PATH}/encode", status_code=HTTPStatus.OK, opt=_OPERATE)
async def encode(request: Request[Any, Any, Any], codec: InjectedCodec) -> Response[str]:
    """Return payloads encrypted."""
    payloads = _parse(await request.body())
    return _answer(Payloads(payloads=await codec.encode(payloads.payloads)))


@get(f"{PATH}/login", media_type=MediaType.HTML, sync_to_thread=False)
def login() -> str:
    """Return the page that asks for a key."""
    return _LOGIN


@post(f"{PATH}/session", status_code=HTTPStatus.NO_CONTENT, opt=_OPERATE)
async def open_session(request: Request[Any, Any, Any]) -> Response[None]:
    """Store the request's key as a cookie, which no script can read."""
    key = request.headers["authorization"].partition(" ")[2].strip()
    proxied = request.headers.get("x-forwarded-proto", request.url.scheme)
    cookie = Cookie(
        key=_COOKIE,
        value=quote(key),
        path=PATH,
        max_age=_COOKIE_SECONDS,
        httponly=True,
        secure=proxied == "https",
        samesite="strict",
    )
    return Response(None, cookies=[cookie])


def codec_routers(guard: Guard, codec: EncryptionCodec) -> list[Router]:
    """Return the routes, the page open to everybody."""

    async def provide_codec() -> EncryptionCodec:
        return codec

    return [
        Router(
            "/",
            route_handlers=[decode, encode, open_session],
            guards=[guard],
            dependencies={"codec": Provide(provide_codec)},
            request_max_body_size=_MOST_BYTES,
            include_in_schema=False,
        ),
        Router("/", route_handlers=[login], include_in_schema=False),
    ]


def codec_requests(app: ASGIApp, origin: str) -> ASGIApp:
    """Return the application that takes the codec's cookie for a key, and requests from an origin.

    Around the whole application: a browser sends its preflight requests without a key.
    """
    allowed = origin.encode()

    async def handle(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP or not scope["path"].startswith(f"{PATH}/"):
            await app(scope, receive, send)
            return
        head = dict(scope["headers"])
        headers = [(b"vary", b"Origin")]
        if allowed and head.get(b"origin") == allowed:
            headers += [
                (b"access-control-allow-origin", allowed),
                (b"access-control-allow-credentials", b"true"),
            ]
            if scope["method"] == "OPTIONS":
                start: Message = {
                    "type": "http.response.start",
                    "status": HTTPStatus.NO_CONTENT,
                    "headers": [*headers, *_PREFLIGHT],
                }
                await send(start)
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                return

        async def send_with(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *headers]
            await send(message)

        await app(_with_key(scope), receive, send_with)

    return handle


def _with_key(scope: HTTPScope) -> HTTPScope:
    """Return the scope with the cookie's key as its Authorization, unless it has one."""
    if any(name == b"authorization" for name, _ in scope["headers"]):
        return scope
    key = Request[Any, Any, Any](scope).cookies.get(_COOKIE)
    if key is None:
        return scope
    bearer = (b"authorization", b"Bearer " + unquote(key).encode())
    return HTTPScope(**{**scope, "headers": [*scope["headers"], bearer]})


def _parse(body: bytes) -> Payloads:
    try:
        return json_format.Parse(body, Payloads())
    except json_format.ParseError as error:
        raise errors.bad_request(f"The body is not JSON of payloads: {error}") from None


def _answer(payloads: Payloads) -> Response[str]:
    return Response(json_format.MessageToJson(payloads, indent=None), media_type=MediaType.JSON)
