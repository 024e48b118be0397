"""Orders as a client of the API places them, and their records."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final, TypeVar
from uuid import uuid4

import httpx

from orderfleet.domain.orders import OrderState
from orderfleet.store.pool import Pool
from orderfleet.store.simulated_ledger import Balance, balance
from orderfleet_cli.local import Fleet

Json = dict[str, Any]
T = TypeVar("T")

DEADLINE: Final = 15.0
HOME: Final = {"street": "1 First Street", "city": "Springfield"}
ELSEWHERE: Final = {"street": "2 Second Street", "city": "Shelbyville"}
# Seconds that `eventually` waits before it fails.
PATIENCE: Final = 30.0
ENDS: Final = frozenset(state.value for state in OrderState if state.ended)
_POLL: Final = 0.1


@dataclass(frozen=True)
class Orders:
    """Orders over HTTP, and their records."""

    http: httpx.AsyncClient
    pool: Pool
    fleet: Fleet
    selected: frozenset[tuple[str, str]] = field(default=frozenset(), repr=False)
    """Module and name of the tests that run."""
    running: dict[tuple[str, str], asyncio.Task[None]] = field(default_factory=dict, repr=False)
    """The tests that run at once, see `together`."""

    async def place(self, kind: str, **order: Any) -> str:
        """Place an order and return its id; the kind selects its faults, see `faults`."""
        order_id = new_id(kind)
        answer = await self.start(order_id, **order)
        assert answer.status_code == HTTPStatus.ACCEPTED, answer.text
        return order_id

    async def start(
        self, order_id: str, headers: Mapping[str, str] | None = None, **order: Any
    ) -> httpx.Response:
        """Place an order, again while the fleet is busy, as it is with orders that hang."""
        body = {"payment_id": f"pay-{order_id}", "address": HOME, **order}

        async def place() -> httpx.Response:
            return await self.http.post(f"/orders/{order_id}/start", json=body, headers=headers)

        busy = HTTPStatus.TOO_MANY_REQUESTS
        return await eventually(place, lambda answer: answer.status_code != busy)

    async def cancel(self, order_id: str, key: str | None = None, reason: str = "") -> Any:
        return await self._change(order_id, "signals/cancel", {"reason": reason}, key)

    async def move(
        self, order_id: str, address: Mapping[str, str], key: str | None = None
    ) -> httpx.Response:
        return await self._change(order_id, "signals/update-address", {"address": address}, key)

    async def review(
        self, order_id: str, *, approved: bool, key: str | None = None
    ) -> httpx.Response:
        decision = {"approved": approved, "reviewer": "somebody", "reason": "looked at it"}
        return await self._change(order_id, "review", decision, key)

    async def _change(
        self, order_id: str, path: str, body: Json, key: str | None
    ) -> httpx.Response:
        headers = {"Idempotency-Key": key} if key else {}
        return await self.http.post(f"/orders/{order_id}/{path}", json=body, headers=headers)

    async def status(self, order_id: str) -> Json:
        return _document(await self.http.get(f"/orders/{order_id}/status"))

    async def last_status(self, order_id: str) -> Json:
        """Wait until the workflow has the order's end too, which its row has earlier."""
        return await eventually(
            lambda: self.status(order_id), lambda status: status["state"] in ENDS
        )

    async def show(self, order_id: str) -> Json:
        return _document(await self.http.get(f"/orders/{order_id}"))

    async def until(self, order_id: str, event: str) -> Json:
        """Wait until the order's audit log has an event of this type."""
        return await self._shown(order_id, lambda order: event in types(order))

    async def ended(self, order_id: str) -> Json:
        """Wait for the order's end; check its duration and its audit log."""
        order = await self._shown(order_id, lambda order: order["state"] in ENDS)
        assert seconds(order) <= DEADLINE, trail(order)
        numbers = [event["number"] for event in order["events"]]
        assert numbers == list(range(1, len(numbers) + 1))
        return order

    async def completed(self, order_id: str) -> Json:
        """Wait until nothing of the order is owed any more: refunds come after its end."""
        await self.ended(order_id)
        return await self._shown(order_id, _is_complete)

    async def _shown(self, order_id: str, enough: Callable[[Json], bool]) -> Json:
        async def ask() -> Json:
            # 503 while a test keeps a dependency down, no answer while it keeps the API down.
            with suppress(httpx.TransportError):
                answer = await self.http.get(f"/orders/{order_id}")
                if answer.status_code == HTTPStatus.OK:
                    order: Json = answer.json()
                    return order
            return {}

        return await eventually(ask, lambda order: bool(order) and enough(order))

    async def charges(self, order_id: str) -> list[str]:
        """Return the statuses of the order's charges from the gateway's ledger."""
        query = "SELECT status FROM gateway.charges WHERE order_id = $1"
        return [row["status"] for row in await self.pool.fetch(query, order_id)]

    async def shipments(self, order_id: str) -> list[str]:
        """Return the statuses of the order's packages from the carrier's ledger."""
        query = "SELECT status FROM gateway.shipments WHERE order_id = $1"
        return [row["status"] for row in await self.pool.fetch(query, order_id)]

    @asynccontextmanager
    async def row_held(self, order_id: str) -> AsyncIterator[Callable[[], Awaitable[None]]]:
        """Lock an order's row; the yielded function returns once another session waits for it."""

        async def wanted() -> None:
            query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            await eventually(lambda: self.pool.fetchval(query), bool)

        async with self.pool.acquire() as connection, connection.transaction():
            await connection.execute("SELECT FROM orders WHERE id = $1 FOR UPDATE", order_id)
            yield wanted

    async def shipped_to(self, order_id: str) -> Json:
        query = "SELECT address_json FROM gateway.shipments WHERE order_id = $1"
        address: Json = await self.pool.fetchval(query, order_id)
        return address

    async def balanced(self) -> Balance:
        """Wait until all orders have ended, then compare the gateways' ledger with them."""
        query = "SELECT id FROM orders WHERE state <> ALL($1)"
        await eventually(lambda: self.pool.fetch(query, list(ENDS)), lambda ids: not ids)
        return await eventually(lambda: balance(self.pool), lambda books: books.balanced)


async def eventually(ask: Callable[[], Awaitable[T]], enough: Callable[[T], bool]) -> T:
    """Ask until the answer is enough; fail after PATIENCE seconds."""
    found: T | None = None
    try:
        async with asyncio.timeout(PATIENCE):
            while True:
                found = await ask()
                if enough(found):
                    return found
                await asyncio.sleep(_POLL)
    except TimeoutError:
        raise AssertionError(f"it came no further than {found}") from None


@asynccontextmanager
async def clients(fleet: Fleet) -> AsyncIterator[httpx.AsyncClient]:
    """Open a client that checks every answer for tracebacks and undocumented errors."""
    async with httpx.AsyncClient(
        base_url=fleet.api_url,
        timeout=PATIENCE,
        trust_env=False,
        event_hooks={"response": [_check_answer]},
    ) as http:
        yield http


async def _check_answer(answer: httpx.Response) -> None:
    await answer.aread()
    if answer.is_error:
        assert "Traceback" not in answer.text
        assert 'File "' not in answer.text
    if answer.is_server_error:
        assert answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE, answer.text
        assert "Retry-After" in answer.headers


def new_id(kind: str) -> str:
    return f"{kind}-{uuid4().hex[:8]}"


def types(order: Json) -> list[str]:
    return [event["type"] for event in order["events"]]


def event(order: Json, kind: str) -> Json:
    """Return the payload of the order's only event of this type."""
    found = [one["payload"] for one in order["events"] if one["type"] == kind]
    assert len(found) == 1, f"{len(found)} times {kind}: {types(order)}"
    payload: Json = found[0]
    return payload


def seconds(order: Json) -> float:
    """Return how long the order took, from its row to its end."""
    end = next(event["ts"] for event in order["events"] if event["type"] in ENDS)
    taken = datetime.fromisoformat(end) - datetime.fromisoformat(order["created_at"])
    return taken.total_seconds()


def trail(order: Json) -> str:
    """Return an order's events with their times, for a failing test's message."""
    began = datetime.fromisoformat(order["created_at"])
    return ", ".join(
        f"{(datetime.fromisoformat(event['ts']) - began).total_seconds():.1f} s {event['type']}"
        for event in order["events"]
    )


def lacks(order: Json, unwanted: Iterable[str]) -> bool:
    return not set(unwanted) & set(types(order))


def _is_complete(order: Json) -> bool:
    owed = {"pending"} if order["state"] == OrderState.FULFILLED else {"pending", "captured"}
    return not [payment for payment in order["payments"] if payment["status"] in owed]


def _document(answer: httpx.Response) -> Json:
    assert answer.status_code == HTTPStatus.OK, answer.text
    document: Json = answer.json()
    return document
