"""Gateways reached over HTTP: a small JSON contract, documented in `docs/gateways.md`.

An answer 409 or 422 is a definite no; any other error, and no answer, leaves the outcome unknown.
Of an answer no more than 64 KiB is read, packed or not, and no redirect is followed.
"""

import asyncio
import json
import zlib
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

import httpx
import msgspec

from orderfleet.domain.policies import GATEWAY_CALL_SECONDS
from orderfleet.domain.strict_json import unique_members
from orderfleet.gateways.protocols import (
    Charge,
    ChargeStatus,
    GatewayRefusedError,
    GatewayUnavailableError,
    GatewayUnknownError,
    Shipment,
)
from orderfleet.gateways.redaction import decode_text, redact, sanitize

_MOST_READ: Final = 65_536
_REASON_BYTES: Final = 300
_TRACKING_BYTES: Final = 200
# The reason of a definite no may be long in coming; the no is there with the first line.
_REASON_SECONDS: Final = 0.5
_DEFINITE_NO: Final = frozenset({HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY})
# Worth the same call again soon; so is all from 500 on.
_NOT_NOW: Final = frozenset(
    {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
)
_KEPT_CONNECTIONS: Final = 100
# zlib's name for gzip or zlib, whichever it is.
_ANY_PACKING: Final = 32 + zlib.MAX_WBITS
_HEADERS: Final = {
    "content-type": "application/json",
    "accept": "application/json",
    # Nothing is gained by packing a line of JSON.
    "accept-encoding": "identity",
}


class _UnreadableError(Exception):
    """An answer that is too long, or packed in a way that is not known."""


async def _ask(client: httpx.AsyncClient, method: str, path: str, body: object = None) -> Any:
    content = None if body is None else msgspec.json.encode(body)
    private = body.private if isinstance(body, Shipment) else ()
    try:
        async with (
            asyncio.timeout(GATEWAY_CALL_SECONDS),
            client.stream(method, path, content=content) as answer,
        ):
            return await _understood(answer, method)
    except (GatewayRefusedError, GatewayUnknownError) as error:
        error.args = (redact(f"{method} {path}: {error}", _REASON_BYTES, private),)
        raise
    except (TimeoutError, httpx.TimeoutException):
        raise GatewayUnknownError(f"{method} {path}: no answer in time") from None
    # Not only httpx's: a host name may be none (`UnicodeError`, a `ValueError`).
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        said = str(error) or type(error).__name__
        said = redact(f"{method} {path}: {said}", _REASON_BYTES, private)
        raise GatewayUnavailableError(said) from None


async def _understood(answer: httpx.Response, method: str) -> Any:
    status = answer.status_code
    if status in _DEFINITE_NO:
        raise GatewayRefusedError(f"{status} {await _reason(answer)}".rstrip())
    if status == HTTPStatus.NOT_FOUND and method == "GET":
        return None
    if status in _NOT_NOW or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise GatewayUnavailableError(str(status), retry_after=_retry_after(answer))
    if not answer.is_success:
        raise GatewayUnknownError(str(status))
    try:
        found = json.loads(await _read(answer), object_pairs_hook=unique_members)
    except (_UnreadableError, zlib.error, ValueError, RecursionError) as error:
        raise GatewayUnknownError(f"{status}, unreadable: {error}") from None
    if not isinstance(found, dict):
        raise GatewayUnknownError(f"{status}, unreadable: no object")
    return found


async def _read(answer: httpx.Response) -> bytes:
    """Read a body, unpacked piece by piece: a few KB may unpack to gigabytes."""
    packing = answer.headers.get("content-encoding", "identity").strip().lower()
    if packing not in {"", "identity", "gzip", "x-gzip", "deflate"}:
        raise _UnreadableError(f"packed by {packing[:20]!r}")
    unpacker = None if packing in {"", "identity"} else zlib.decompressobj(_ANY_PACKING)
    body = bytearray()
    async for piece in answer.aiter_raw():
        body += piece if unpacker is None else unpacker.decompress(piece, _MOST_READ + 1)
        if len(body) > _MOST_READ:
            raise _UnreadableError(f"more than {_MOST_READ} bytes")
        if unpacker is not None and unpacker.eof:
            break
    return bytes(body)


async def _reason(answer: httpx.Response) -> str:
    """Return the words of a definite no, or none: they change nothing about it."""
    try:
        async with asyncio.timeout(_REASON_SECONDS):
            data = await _read(answer)
    except (_UnreadableError, zlib.error, TimeoutError, httpx.HTTPError) as error:
        return f"(reason unreadable: {type(error).__name__})"
    if "utf-16" in answer.headers.get("content-type", "").lower():
        return data.decode("utf-16", "replace")
    return decode_text(data)


def _retry_after(answer: httpx.Response) -> float | None:
    """Return the seconds of `Retry-After`, which may be a date; None if it says nothing of use."""
    text = answer.headers.get("retry-after", "").strip()[:64]
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max((moment - datetime.now(UTC)).total_seconds(), 0.0)


def _client(url: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=url.rstrip("/"),
        headers=_HEADERS,
        timeout=GATEWAY_CALL_SECONDS,
        # No bound of its own: a worker's activity slots bound the calls. A call that waits for a
        # connection and is cancelled, as one is whose gateway hangs, leaves a connection behind
        # that is never made nor dropped (httpcore issue 1093): 100 of them, and no call got
        # through until the restart. Without a bound none waits.
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=_KEPT_CONNECTIONS),
    )


class HTTPPaymentGateway:
    """A `PaymentGateway` behind `POST /charges`, `GET /charges/{key}`, `.../void`, `.../refund`."""

    def __init__(self, url: str) -> None:
        self._client = _client(url)

    async def charge(self, charge: Charge) -> bool:
        """Capture the amount; the gateway knows a repeat by the key, and may say so."""
        answer = await _ask(self._client, "POST", "/charges", charge)
        status = _status(answer)
        if status is not ChargeStatus.CAPTURED:
            raise GatewayRefusedError(f"the key is {status}")
        return answer.get("replayed") is True

    async def lookup(self, key: str) -> ChargeStatus:
        """Return the key's status; 404 is `none`."""
        answer = await _ask(self._client, "GET", f"/charges/{quote(key, safe='')}")
        return ChargeStatus.NONE if answer is None else _status(answer)

    async def void(self, charge: Charge) -> ChargeStatus:
        """Close the key."""
        path = f"/charges/{quote(charge.key, safe='')}/void"
        return _status(await _ask(self._client, "POST", path, charge))

    async def refund(self, charge: Charge) -> ChargeStatus:
        """Give back what was captured."""
        path = f"/charges/{quote(charge.key, safe='')}/refund"
        return _status(await _ask(self._client, "POST", path, charge))


class HTTPCarrier:
    """A `Carrier` behind `POST /shipments`, `GET /shipments/{key}`, `.../recall`."""

    def __init__(self, url: str) -> None:
        self._client = _client(url)

    async def dispatch(self, shipment: Shipment) -> str:
        """Hand the package over; the carrier knows a repeat by the key."""
        return _tracking(await _ask(self._client, "POST", "/shipments", shipment))

    async def lookup(self, key: str) -> str | None:
        """Return the tracking number; 404 is None."""
        answer = await _ask(self._client, "GET", f"/shipments/{quote(key, safe='')}")
        return None if answer is None else _tracking(answer)

    async def recall(self, shipment: Shipment) -> bool:
        """Call the package back, or close the key."""
        path = f"/shipments/{quote(shipment.key, safe='')}/recall"
        answer = await _ask(self._client, "POST", path, shipment)
        recalled = answer.get("recalled")
        if not isinstance(recalled, bool):
            raise GatewayUnknownError(f"POST {path}: no `recalled` in the answer")
        return recalled


def _tracking(answer: dict[str, Any]) -> str:
    tracking = answer.get("tracking")
    number = sanitize(tracking, _TRACKING_BYTES) if isinstance(tracking, str) else ""
    if not number:
        raise GatewayUnknownError("no tracking number in the answer")
    return number


def _status(answer: dict[str, Any]) -> ChargeStatus:
    try:
        return ChargeStatus(str(answer.get("status")))
    except ValueError:
        raise GatewayUnknownError("no status that is known in the answer") from None
