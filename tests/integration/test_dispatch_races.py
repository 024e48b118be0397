"""Changes aimed at the dispatch claim: what the API answers is what the carrier has."""

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

import msgspec
from litestar.plugins.problem_details import ProblemDetailsException

from orderfleet.domain.orders import Address, OrderState
from orderfleet.store.simulated_ledger import balance
from orderfleet_api import order_service
from orderfleet_api.backends import Backends
from orderfleet_api.schemas import APPLIED
from tests.integration.support.books import Books, books
from tests.integration.support.fleet import HOME, Fleet, an_order, eventually, new_id

_ORDERS: Final = 70
_CHANGES: Final = 3
_AT_ONCE: Final = 8
_AROUND_THE_CLAIM: Final = frozenset(OrderState) - {
    OrderState.RECEIVED,
    OrderState.IN_REVIEW,
    OrderState.CHARGING,
}


@dataclass
class _Change:
    order_id: str
    change_id: str
    address: Address | None
    after: float
    status: int = 0


@dataclass
class _Order:
    order_id: str
    changes: list[_Change] = field(default_factory=list)


def _plan(chance: random.Random) -> list[_Order]:
    planned = []
    for _ in range(_ORDERS):
        order = _Order(new_id())
        for n in range(_CHANGES):
            # Few cancels: a cancelled order has no claim to race for.
            address = None if chance.random() < 0.2 else Address(f"{n} {order.order_id}", "Town")
            after = chance.uniform(0, 0.12)
            order.changes.append(_Change(order.order_id, f"change-{n}", address, after))
        planned.append(order)
    return planned


async def _send(backends: Backends, change: _Change) -> int:
    try:
        if change.address is None:
            view = await order_service.cancel(backends, change.order_id, change.change_id, "")
        else:
            view = await order_service.update_address(
                backends, change.order_id, change.change_id, change.address
            )
    except ProblemDetailsException as error:
        return error.status_code
    return HTTPStatus.OK if view.outcome == APPLIED else HTTPStatus.ACCEPTED


async def _race(fleet: Fleet, backends: Backends, order: _Order, gate: asyncio.Semaphore) -> None:
    async def send(change: _Change) -> None:
        await asyncio.sleep(change.after)
        change.status = await _send(backends, change)

    async with gate:
        await order_service.accept(backends, order.order_id, an_order(f"pay-{order.order_id}"))
        await fleet.reached(order.order_id, *_AROUND_THE_CLAIM)
        await asyncio.gather(*(send(change) for change in order.changes))
        await fleet.result(order.order_id)


def _check(order: _Order, record: Books) -> None:
    events = {row["event_key"].rpartition("/")[2]: row for row in record.events}
    for change in order.changes:
        kind = events[change.change_id]["type"] if change.change_id in events else ""
        if change.address is not None:
            wanted = "address_updated" if change.status == 200 else "address_update_refused"
            assert kind == wanted
        elif change.status == 200:
            # A second cancel of a cancelled order is applied without an event of its own.
            assert record.order["state"] == "cancelled"
            assert not record.taken
        else:
            assert kind == "cancel_refused"
            assert record.order["state"] != "cancelled"
    addresses = [
        row["payload_json"]["address"] for row in record.events if row["type"] == "address_updated"
    ]
    if record.taken:
        last = addresses[-1] if addresses else msgspec.to_builtins(HOME)
        assert record.taken[0]["address_json"] == last


async def test_two_hundred_changes_at_the_claim_are_answered_truly(fleet: Fleet) -> None:
    planned = _plan(random.Random(5))
    backends = fleet.backends(change_wait_seconds=30.0)
    gate = asyncio.Semaphore(_AT_ONCE)
    async with fleet.working():
        await asyncio.gather(*(_race(fleet, backends, order, gate) for order in planned))
        changes = [change for order in planned for change in order.changes]
        codes = Counter((change.status, change.address is None) for change in changes)
        # Both answers came, to both kinds: it was a race.
        assert codes.keys() == {(200, True), (200, False), (409, True), (409, False)}, codes
        for order in planned:
            _check(order, await books(fleet.pool, order.order_id))
        # The same answer to a repeat, also now that all of them have ended, and are refunded.
        await _eventually_balanced(fleet)
        before = [await books(fleet.pool, order.order_id) for order in planned]
        for change in changes:
            assert await _send(backends, change) == change.status
        assert [await books(fleet.pool, order.order_id) for order in planned] == before
        assert (await balance(fleet.pool)).balanced


async def _eventually_balanced(fleet: Fleet) -> None:
    """Refunds are workflows of their own, which end after their orders."""

    async def balanced() -> bool:
        return (await balance(fleet.pool)).balanced

    await eventually(balanced)
