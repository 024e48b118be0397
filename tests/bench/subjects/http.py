"""A client that places orders over HTTP."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx

ADDRESS: Final = {"street": "1 Main St", "city": "Springfield"}


def body(order_id: str) -> dict[str, Any]:
    return {"payment_id": f"pay-{order_id}", "address": ADDRESS}


async def start(http: httpx.AsyncClient, order_id: str) -> None:
    """Place an order.

    Raises:
        httpx.HTTPError: it was not accepted.
    """
    answer = await http.post(f"/orders/{order_id}/start", json=body(order_id))
    answer.raise_for_status()


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[httpx.AsyncClient]:
    limits = httpx.Limits(max_connections=200, max_keepalive_connections=200)
    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=10) as client:
        yield client
