"""Orders over HTTP, and checks of the books at the end."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, TypeVar

import httpx

from orderfleet.store.pool import Pool
from orderfleet.store.simulated_ledger import Balance, balance
from tests.e2e.support.orders import ENDS, HOME, Json, new_id, types

T = TypeVar("T")

_POLL: Final = 0.3
_BUSY: Final = frozenset({HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS})
_BUSY_SECONDS: Final = 10
# What must never happen; each query returns ids of orders.
_WRONG: Final = {
    "event numbers with a gap": """
        SELECT orders.id FROM orders LEFT JOIN events ON events.order_id = orders.id
        GROUP BY orders.id
        HAVING array_agg(events.number ORDER BY events.number) IS DISTINCT FROM
            (SELECT array_agg(number) FROM generate_series(1, orders.event_count) AS number)""",
    "fulfilled and not paid once": """
        SELECT orders.id FROM orders LEFT JOIN payments ON payments.order_id = orders.id
        WHERE orders.state = 'fulfilled'
        GROUP BY orders.id HAVING array_agg(payments.status) <> '{captured}'""",
    "not fulfilled and not refunded": """
        SELECT orders.id FROM orders JOIN payments ON payments.order_id = orders.id
        WHERE orders.state <> 'fulfilled' AND payments.status IN ('pending', 'captured')""",
    "more than one end": """
        SELECT order_id FROM events WHERE type = ANY($1)
        GROUP BY order_id HAVING count(*) <> 1""",
}
_OPEN: Final = """
    SELECT id FROM orders WHERE state <> ALL($1) UNION
    SELECT orders.id FROM orders JOIN payments ON payments.order_id = orders.id
    WHERE payments.status = 'pending' OR payments.status = 'captured' AND state <> 'fulfilled'"""


@dataclass(frozen=True)
class Shop:
    http: httpx.AsyncClient

    async def start(self, order_id: str) -> httpx.Response:
        body = {"payment_id": f"pay-{order_id}", "address": HOME}
        return await self.http.post(f"/orders/{order_id}/start", json=body)

    async def place(self, kind: str) -> str:
        """Place an order, again while the fleet is busy, as it is with orders that hang."""
        return await self._place(kind, {HTTPStatus.TOO_MANY_REQUESTS}, seconds=_BUSY_SECONDS)

    async def place_when_up(self, kind: str, *, seconds: float) -> str:
        """Place an order, again while the fleet is busy or away."""
        return await self._place(kind, _BUSY, seconds=seconds)

    async def _place(self, kind: str, refusals: Collection[int], *, seconds: float) -> str:
        order_id = new_id(kind)
        answer = await eventually(
            "an accepted order",
            lambda: self.start(order_id),
            lambda answer: answer.status_code not in refusals,
            seconds,
        )
        assert answer.status_code == HTTPStatus.ACCEPTED, answer.text
        return order_id

    async def place_apart(self, kind: str, count: int, apart: float) -> list[str]:
        """Place orders at a rate, so that they are at different steps."""
        placed = []
        for _ in range(count):
            placed.append(await self.place(kind))
            await asyncio.sleep(apart)
        return placed

    async def show(self, order_id: str) -> Json:
        answer = await self.http.get(f"/orders/{order_id}")
        assert answer.status_code == HTTPStatus.OK, answer.text
        order: Json = answer.json()
        return order

    async def ended(self, order_id: str, *, seconds: float = 40) -> Json:
        return await eventually(
            f"end of {order_id}",
            lambda: self.show(order_id),
            lambda order: order["state"] in ENDS,
            seconds,
        )

    async def until(self, order_id: str, event: str, *, seconds: float = 20) -> Json:
        """Wait until the order's trail has an event of this type."""
        return await eventually(
            f"{event} of {order_id}",
            lambda: self.show(order_id),
            lambda order: event in types(order),
            seconds,
        )

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """Read the feed of events while the block runs."""

        async def read() -> None:
            async for _ in answer.aiter_raw():
                pass

        async with self.http.stream("GET", "/events") as answer:
            assert answer.status_code == HTTPStatus.OK
            reading = asyncio.create_task(read())
            try:
                yield
            finally:
                reading.cancel()

    async def reject(self, order_id: str) -> httpx.Response:
        decision = {"approved": False, "reviewer": "somebody", "reason": "looked at it"}
        return await self.http.post(f"/orders/{order_id}/review", json=decision)

    async def cancel(self, order_id: str) -> httpx.Response:
        return await self.http.post(f"/orders/{order_id}/signals/cancel", json={})


async def eventually(
    what: str, ask: Callable[[], Awaitable[T]], enough: Callable[[T], bool], seconds: float
) -> T:
    """Ask until the answer is enough."""
    found: T | None = None
    try:
        async with asyncio.timeout(seconds):
            while True:
                found = await ask()
                if enough(found):
                    return found
                await asyncio.sleep(_POLL)
    except TimeoutError:
        raise AssertionError(f"{what}: after {seconds:g} s still {found}") from None


async def balanced(pool: Pool, accepted: Collection[str], *, seconds: float = 60) -> Balance:
    """Wait until no order is open, then compare all books.

    `accepted` are orders that must be in the books.
    """
    ends = list(ENDS)
    await eventually(
        "open orders", lambda: pool.fetch(_OPEN, ends), lambda found: not found, seconds
    )
    known = {row["id"] for row in await pool.fetch("SELECT id FROM orders")}
    assert set(accepted) <= known, f"lost: {set(accepted) - known}"
    for what, query in _WRONG.items():
        rows = await pool.fetch(query, *([ends] if "$1" in query else []))
        assert not rows, f"{what}: {[row[0] for row in rows]}"
    books = await balance(pool)
    assert books.balanced, books
    return books


async def states(pool: Pool, order_ids: Iterable[str]) -> dict[str, int]:
    """Count the states that orders are in."""
    query = "SELECT state FROM orders WHERE id = ANY($1)"
    rows = await pool.fetch(query, list(order_ids))
    return dict(Counter(row["state"] for row in rows))


async def rows_of(pool: Pool) -> set[tuple[Any, ...]]:
    """Return the audit trail of all orders, which only ever grows."""
    query = "SELECT order_id, number, type, event_key FROM events"
    return {tuple(row) for row in await pool.fetch(query)}
