"""Gateways over HTTP: a small JSON contract, documented in `docs/gateways.md`.

409 and 422 are definite refusals; after any other error or a time-out the outcome is unknown. At
most 64 KiB of a response is read, counted after decompression; redirects are not followed.
"""

import asyncio
import json
import zlib
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Final, Self
from urllib.parse import quote, urlencode

import httpx
import msgspec

from orderfleet.domain.policies import GATEWAY_CALL_SECONDS
from orderfleet.domain.strict_json import unique_members
from orderfleet.gateways.credentials import GatewayCredentials
from orderfleet.gateways.http_client import GatewayClient
from orderfleet.gateways.protocols import (
    Charge,
    ChargePage,
    ChargeStatus,
    GatewayRefusedError,
    GatewayUnavailableError,
    GatewayUnknownError,
    Shipment,
)
from orderfleet.gateways.redaction import (
    REASON_BYTES,
    TRACKING_BYTES,
    decode_text,
    redact,
    sanitize,
)
from orderfleet.watched_files import WatchedFiles

_MOST_BYTES: Final = 65_536
# A refusal's reason may be slow to arrive; its status line is there already.
_REASON_SECONDS: Final = 0.5
_REFUSED: Final = frozenset({HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY})
_ABSENT: Final = frozenset({HTTPStatus.NOT_FOUND.value})
_NO_LIST: Final = _ABSENT | {HTTPStatus.METHOD_NOT_ALLOWED.value, HTTPStatus.NOT_IMPLEMENTED.value}
# A retry may succeed soon; so it may after 500 and above.
_UNAVAILABLE: Final = frozenset(
    {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
)
# zlib detects gzip or zlib by itself.
_GZIP_OR_ZLIB: Final = 32 + zlib.MAX_WBITS


class _UnreadableError(Exception):
    """A response that is too long, or in an unsupported encoding."""


async def _request(
    gateway: GatewayClient,
    method: str,
    path: str,
    body: object = None,
    absent: frozenset[int] = _ABSENT,
) -> Any:
    content = None if body is None else msgspec.json.encode(body)
    private = body.private if isinstance(body, Shipment) else ()
    client, secrets = gateway.current(), gateway.secrets
    try:
        async with (
            asyncio.timeout(GATEWAY_CALL_SECONDS),
            client.stream(method, path, content=content) as response,
        ):
            if method == "GET" and response.status_code in absent:
                return None
            return await _parse(response)
    except (GatewayRefusedError, GatewayUnknownError) as error:
        error.args = (redact(f"{method} {path}: {error}", REASON_BYTES, private, secrets),)
        raise
    except (TimeoutError, httpx.TimeoutException):
        raise GatewayUnknownError(f"{method} {path}: timed out") from None
    # Not only httpx's errors: an invalid host name is a `UnicodeError`, a `ValueError`.
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        message = f"{method} {path}: {str(error) or type(error).__name__}"
        raise GatewayUnavailableError(redact(message, REASON_BYTES, private, secrets)) from None


async def _parse(response: httpx.Response) -> Any:
    status = response.status_code
    if status in _REFUSED:
        raise GatewayRefusedError(f"{status} {await _reason(response)}".rstrip())
    if status in _UNAVAILABLE or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise GatewayUnavailableError(str(status), retry_after=_retry_after(response))
    if not response.is_success:
        raise GatewayUnknownError(str(status))
    try:
        answer = json.loads(await _read(response), object_pairs_hook=unique_members)
    except (_UnreadableError, zlib.error, ValueError, RecursionError) as error:
        raise GatewayUnknownError(f"{status}, unreadable: {error}") from None
    if not isinstance(answer, dict):
        raise GatewayUnknownError(f"{status}, unreadable: not an object")
    return answer


async def _read(response: httpx.Response) -> bytes:
    """Read a body and decompress it chunk by chunk: a few KB may expand to gigabytes."""
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {"", "identity", "gzip", "x-gzip", "deflate"}:
        raise _UnreadableError(f"unsupported content-encoding {encoding[:20]!r}")
    decoder = None if encoding in {"", "identity"} else zlib.decompressobj(_GZIP_OR_ZLIB)
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk if decoder is None else decoder.decompress(chunk, _MOST_BYTES + 1)
        if len(body) > _MOST_BYTES:
            raise _UnreadableError(f"more than {_MOST_BYTES} bytes")
        if decoder is not None and decoder.eof:
            break
    return bytes(body)


async def _reason(response: httpx.Response) -> str:
    """Return the reason of a refusal; an unreadable one does not change the refusal."""
    try:
        async with asyncio.timeout(_REASON_SECONDS):
            data = await _read(response)
    except (_UnreadableError, zlib.error, TimeoutError, httpx.HTTPError) as error:
        return f"(reason unreadable: {type(error).__name__})"
    if "utf-16" in response.headers.get("content-type", "").lower():
        return data.decode("utf-16", "replace")
    return decode_text(data)


def _retry_after(response: httpx.Response) -> float | None:
    """Return the seconds of `Retry-After`, which may be a date; None without a usable value."""
    text = response.headers.get("retry-after", "").strip()[:64]
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max((moment - datetime.now(UTC)).total_seconds(), 0.0)


class _HTTPGateway:
    """A gateway behind a URL, with the credentials of a directory."""

    def __init__(self, url: str, credentials: str = "") -> None:
        self._client = GatewayClient(url, credentials)

    @property
    def files(self) -> WatchedFiles[GatewayCredentials] | None:
        """The files of the credentials, None if there are none."""
        return self._client.files

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()


class HTTPPaymentGateway(_HTTPGateway):
    """A `PaymentGateway` behind `POST /charges`, `GET /charges/{key}`, `.../void`, `.../refund`.

    `GET /charges` lists them, if the provider can.
    """

    async def charge(self, charge: Charge) -> bool:
        """Capture the amount; the gateway recognizes a repeat by the key, and may report it."""
        answer = await _request(self._client, "POST", "/charges", charge)
        status = _status(answer)
        if status is not ChargeStatus.CAPTURED:
            raise GatewayRefusedError(f"the key is {status}")
        return answer.get("replayed") is True

    async def lookup(self, key: str) -> ChargeStatus:
        """Return the state of the key; 404 is `none`."""
        answer = await _request(self._client, "GET", f"/charges/{quote(key, safe='')}")
        return ChargeStatus.NONE if answer is None else _status(answer)

    async def void(self, charge: Charge) -> ChargeStatus:
        """Close the key."""
        path = f"/charges/{quote(charge.key, safe='')}/void"
        return _status(await _request(self._client, "POST", path, charge))

    async def refund(self, charge: Charge) -> ChargeStatus:
        """Refund what was captured."""
        path = f"/charges/{quote(charge.key, safe='')}/refund"
        return _status(await _request(self._client, "POST", path, charge))

    async def list_charges(self, since: datetime, after: str) -> ChargePage | None:
        """Return the charges since a time, or those after a cursor; 404, 405, 501: no list."""
        query = urlencode({"since": f"{since:%Y-%m-%dT%H:%M:%SZ}", "after": after})
        answer = await _request(self._client, "GET", f"/charges?{query}", absent=_NO_LIST)
        try:
            return None if answer is None else msgspec.convert(answer, ChargePage)
        except msgspec.ValidationError as error:
            raise GatewayUnknownError(f"no valid list of charges in the answer: {error}") from None


class HTTPCarrier(_HTTPGateway):
    """A `Carrier` behind `POST /shipments`, `GET /shipments/{key}`, `.../recall`."""

    async def dispatch(self, shipment: Shipment) -> str:
        """Hand the package over; the carrier recognizes a repeat by the key."""
        return _tracking(await _request(self._client, "POST", "/shipments", shipment))

    async def lookup(self, key: str) -> str | None:
        """Return the tracking number; 404 is None."""
        answer = await _request(self._client, "GET", f"/shipments/{quote(key, safe='')}")
        return None if answer is None else _tracking(answer)

    async def recall(self, shipment: Shipment) -> bool:
        """Call the package back, or close the key."""
        path = f"/shipments/{quote(shipment.key, safe='')}/recall"
        answer = await _request(self._client, "POST", path, shipment)
        recalled = answer.get("recalled")
        if not isinstance(recalled, bool):
            raise GatewayUnknownError(f"POST {path}: no `recalled` in the answer")
        return recalled


def _tracking(answer: dict[str, Any]) -> str:
    tracking = answer.get("tracking")
    number = sanitize(tracking, TRACKING_BYTES) if isinstance(tracking, str) else ""
    if not number:
        raise GatewayUnknownError("no `tracking` in the answer")
    return number


def _status(answer: dict[str, Any]) -> ChargeStatus:
    try:
        return ChargeStatus(str(answer.get("status")))
    except ValueError:
        raise GatewayUnknownError("no valid `status` in the answer") from None
