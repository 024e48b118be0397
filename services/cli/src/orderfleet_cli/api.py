"""The HTTP API, as the command line uses it."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx
import msgspec

from orderfleet_cli.errors import CommandError

_SECONDS: Final = 10.0

Json = dict[str, Any]


class ApiError(CommandError):
    """The API said no."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(f"{status}: {detail}")
        self.status = status


class Api:
    """A client of the API; each method is one request.

    All of them raise `ApiError` for an answer that is not a success, and `CommandError` if there
    is none.
    """

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def start(self, order_id: str, order: Mapping[str, Any]) -> Json:
        """Place an order."""
        return await self._call("POST", f"/orders/{order_id}/start", order)

    async def order(self, order_id: str) -> Json:
        """Return the record of an order, with its payments and its audit trail."""
        return await self._call("GET", f"/orders/{order_id}")

    async def status(self, order_id: str) -> Json:
        """Return the live view of an order."""
        return await self._call("GET", f"/orders/{order_id}/status")

    async def cancel(self, order_id: str, reason: str = "") -> Json:
        """Cancel an order."""
        return await self._call("POST", f"/orders/{order_id}/signals/cancel", {"reason": reason})

    async def update_address(self, order_id: str, address: Mapping[str, str]) -> Json:
        """Change where an order goes."""
        path = f"/orders/{order_id}/signals/update-address"
        return await self._call("POST", path, {"address": address})

    async def review(
        self, order_id: str, *, approved: bool, reviewer: str = "", reason: str = ""
    ) -> Json:
        """Approve or reject an order under review."""
        decision = {"approved": approved, "reviewer": reviewer, "reason": reason}
        return await self._call("POST", f"/orders/{order_id}/review", decision)

    async def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Json:
        try:
            answer = await self._client.request(method, path, json=body)
        except httpx.HTTPError as error:
            reason = str(error) or type(error).__name__
            raise CommandError(f"no answer from {self._client.base_url}: {reason}") from None
        try:
            document = msgspec.json.decode(answer.content, type=Json)
        except msgspec.MsgspecError:
            document = {}
        if not answer.is_success:
            detail = document.get("detail") or document.get("title") or answer.reason_phrase
            raise ApiError(answer.status_code, str(detail))
        return document


@asynccontextmanager
async def open_api(url: str) -> AsyncIterator[Api]:
    """Open a client of the API at the URL."""
    local = httpx.URL(url).host in {"127.0.0.1", "localhost"}
    # A proxy of the environment does not know this machine's own ports.
    async with httpx.AsyncClient(base_url=url, timeout=_SECONDS, trust_env=not local) as client:
        yield Api(client)
