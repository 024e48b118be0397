"""Gateways reached over HTTP: a small JSON contract, documented in `docs/gateways.md`.

An answer 409 or 422 is a definite no; any other error, and no answer, leaves the outcome unknown.
"""

import re
from typing import Any, Final
from urllib.parse import quote

import httpx
import msgspec

from orderfleet.gateways import (
    Charge,
    ChargeStatus,
    GatewayRefusedError,
    GatewayUnknownError,
    Shipment,
)
from orderfleet.policies import GATEWAY_CALL_SECONDS

_REASON_LENGTH: Final = 200
_SHORTEST_PART: Final = 3
_DEFINITE_NO = frozenset({httpx.codes.CONFLICT, httpx.codes.UNPROCESSABLE_ENTITY})


async def _ask(client: httpx.AsyncClient, method: str, path: str, body: object = None) -> Any:
    try:
        content = None if body is None else msgspec.json.encode(body)
        answer = await client.request(
            method, path, content=content, headers={"content-type": "application/json"}
        )
    except httpx.HTTPError as error:
        raise GatewayUnknownError(
            f"{method} {path}: {str(error) or type(error).__name__}"
        ) from error
    if answer.status_code in _DEFINITE_NO:
        told = _without_address(answer.text, body)[:_REASON_LENGTH]
        raise GatewayRefusedError(f"{method} {path}: {answer.status_code} {told}")
    if answer.status_code == httpx.codes.NOT_FOUND and method == "GET":
        return None
    if not answer.is_success:
        raise GatewayUnknownError(f"{method} {path}: {answer.status_code}")
    try:
        return msgspec.json.decode(answer.content, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise GatewayUnknownError(f"{method} {path}: {error}") from error


def _without_address(told: str, body: object) -> str:
    """Strike out of a carrier's reason what it repeats of the address: reasons are logged."""
    if isinstance(body, Shipment):
        parts = msgspec.structs.astuple(body.address)
        # A country's two letters are in many a word, and tell nobody's home.
        for part in sorted(parts, key=len, reverse=True):
            if len(part) >= _SHORTEST_PART:
                told = re.sub(re.escape(part), "***", told, flags=re.IGNORECASE)
    return told


def _client(url: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=url.rstrip("/"), timeout=GATEWAY_CALL_SECONDS)


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
    if not isinstance(tracking, str) or not tracking:
        raise GatewayUnknownError("no tracking number in the answer")
    return tracking


def _status(answer: dict[str, Any]) -> ChargeStatus:
    try:
        return ChargeStatus(str(answer.get("status")))
    except ValueError as error:
        raise GatewayUnknownError(str(error)) from error
