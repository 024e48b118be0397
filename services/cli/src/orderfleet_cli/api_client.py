"""The HTTP API, as the command line uses it."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, Final

import httpx
import msgspec

from orderfleet.domain.orders import ID_PATTERN
from orderfleet_cli.errors import (
    FAILED,
    UNREACHABLE,
    WRONG_USAGE,
    CommandError,
    UnreachableError,
    UsageError,
)
from orderfleet_cli.settings import ClientSettings, read

_SECONDS: Final = 10.0
# The API sends something every 15 s.
_STREAM_SECONDS: Final = 40.0
# Below the 1024 files that many systems let a process open.
_CONNECTIONS: Final = 500
_WRONG: Final = frozenset(
    {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.UNPROCESSABLE_ENTITY,
    }
)
# From the API, or from a proxy that cannot reach it.
_AWAY: Final = frozenset(
    {
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)

Json = dict[str, Any]
Query = Mapping[str, str | int | Sequence[str]]


class ApiError(CommandError):
    """The API answered with an error; the message is its detail.

    `reason` is empty unless the API refused an order; `retry_after` is None unless it asks to wait.
    """

    def __init__(
        self, status: int, detail: str, reason: str = "", retry_after: int | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.reason = reason
        self.retry_after = retry_after
        self.exit_code = (
            WRONG_USAGE if status in _WRONG else UNREACHABLE if status in _AWAY else FAILED
        )


class Api:
    """A client of the API; each method is one request.

    Each raises `ApiError` for an error of the API, `UnreachableError` if there is no answer, and
    `UsageError` for an invalid order id.
    """

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    @property
    def url(self) -> str:
        """The URL to show, without user and password."""
        return str(self._client.base_url.copy_with(userinfo=b"")).rstrip("/")

    async def start(self, order_id: str, order: Mapping[str, Any]) -> Json:
        """Place an order."""
        return await self._call("POST", _path(order_id, "/start"), order)

    async def orders(self, **query: str | int) -> Json:
        """Return a page of orders, newest first, and the cursor of the next one."""
        return await self._call("GET", "/orders", query=query)

    async def order(self, order_id: str) -> Json:
        """Return the record of an order, with its payments and its audit trail."""
        return await self._call("GET", _path(order_id))

    async def status(self, order_id: str) -> Json:
        """Return the live view of an order."""
        return await self._call("GET", _path(order_id, "/status"))

    async def cancel(self, order_id: str, reason: str = "") -> Json:
        """Cancel an order."""
        return await self._call("POST", _path(order_id, "/signals/cancel"), {"reason": reason})

    async def update_address(self, order_id: str, address: Mapping[str, str]) -> Json:
        """Change the address of an order."""
        path = _path(order_id, "/signals/update-address")
        return await self._call("POST", path, {"address": address})

    async def review(
        self, order_id: str, *, approved: bool, reviewer: str = "", reason: str = ""
    ) -> Json:
        """Approve or reject an order under review."""
        decision = {"approved": approved, "reviewer": reviewer, "reason": reason}
        return await self._call("POST", _path(order_id, "/review"), decision)

    async def events(self, query: Query) -> Json:
        """Return a page of the feed of events, and the cursor to go on from."""
        return await self._call("GET", "/events", query=query)

    async def follow(self, query: Query) -> AsyncIterator[tuple[str, Json | None]]:
        """Yield events as they come until the API ends the stream, each with its cursor.

        A cursor comes without an event at first, and after a silence.
        """
        accept = {"Accept": "text/event-stream"}
        try:
            async with self._client.stream(
                "GET", "/events", params=query, headers=accept, timeout=_STREAM_SECONDS
            ) as response:
                if not response.is_success:
                    raise _error(response, _document(await response.aread()))
                cursor, event = "", None
                async for line in response.aiter_lines():
                    name, _, value = line.partition(": ")
                    if name == "id":
                        cursor = value
                    elif name == "data":
                        event = msgspec.json.decode(value, type=Json)
                    elif not line and cursor:
                        yield cursor, event
                        event = None
        except httpx.HTTPError as error:
            raise self._unreachable(error) from None

    async def _call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        query: Query | None = None,
    ) -> Json:
        try:
            response = await self._client.request(method, path, json=body, params=query)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from None
        document = _document(response.content)
        if not response.is_success:
            raise _error(response, document)
        return document

    def _unreachable(self, error: httpx.HTTPError) -> UnreachableError:
        reason = str(error) or type(error).__name__
        return UnreachableError(f"cannot reach the API at {self.url}: {reason}")


async def start_when_asked(
    api: Api,
    order_id: str,
    order: Mapping[str, Any],
    *,
    repeats: int,
    on_repeat: Callable[[], object] = lambda: None,
) -> None:
    """Place an order, again after each Retry-After; by its id it is placed once.

    Args:
        api: the API.
        order_id: its id.
        order: what is ordered.
        repeats: how often at the most it is sent again.
        on_repeat: called before each time.

    Raises:
        CommandError: there is no answer, or the last one is an error.
    """
    while True:
        try:
            await api.start(order_id, order)
        except ApiError as error:
            if error.retry_after is None or not repeats:
                raise
            repeats -= 1
            on_repeat()
            await asyncio.sleep(error.retry_after)
        else:
            return


@asynccontextmanager
async def open_api(url: str, key: str = "", *, background: bool = False) -> AsyncIterator[Api]:
    """Open a client of the API at the URL; what a background client asks for can wait."""
    local = httpx.URL(url).host in {"127.0.0.1", "localhost", "::1"}
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    if background:
        headers["Priority"] = "u=7"
    async with httpx.AsyncClient(
        base_url=url,
        headers=headers,
        timeout=_SECONDS,
        # `load` sends on purpose faster than the API answers.
        limits=httpx.Limits(max_connections=_CONNECTIONS),
        # A proxy of the environment cannot reach loopback.
        trust_env=not local,
    ) as client:
        yield Api(client)


@asynccontextmanager
async def open_configured_api(*, background: bool = False) -> AsyncIterator[Api]:
    """Open a client of the API that the settings name."""
    settings = read(ClientSettings)
    async with open_api(settings.url, settings.api_key, background=background) as api:
        yield api


def _document(content: bytes) -> Json:
    """Return the JSON object of an answer; empty for an answer of a proxy."""
    try:
        return msgspec.json.decode(content, type=Json)
    except msgspec.MsgspecError:
        return {}


def _error(response: httpx.Response, document: Json) -> ApiError:
    detail = document.get("detail") or document.get("title") or response.reason_phrase
    return ApiError(
        response.status_code,
        str(detail),
        reason=str(document.get("reason", "")),
        retry_after=_whole_seconds(response.headers.get("retry-after", "")),
    )


def _whole_seconds(header: str) -> int | None:
    """Return the seconds of a Retry-After; a proxy's may be a date, which is ignored."""
    return int(header) if re.fullmatch("[0-9]{1,5}", header) else None


def _path(order_id: str, action: str = "") -> str:
    if not re.match(ID_PATTERN, order_id):
        raise UsageError(
            f"invalid order id {order_id!r}: use up to 64 letters, digits, `.`, `_`, `-`"
        )
    return f"/orders/{order_id}{action}"
