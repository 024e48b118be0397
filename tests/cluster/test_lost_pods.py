"""Postgres' and Temporal's pods are deleted with orders under way."""

import asyncio
import time
from http import HTTPStatus

import pytest

from tests.cluster.support.release import Release
from tests.cluster.support.shop import Shop, balanced, rows_of, states
from tests.cluster.support.steps import Steps
from tests.e2e.support.orders import new_id

pytestmark = pytest.mark.timeout(600)

# At 4 orders a second, some are at every step from the review to the dispatch at the deletion.
_ORDERS = 20
_APART = 0.25
# The pod's start, the orders' 15 s, and ReconcileOrders' next two rounds.
_ENDED_SECONDS = 150
_WORKS_SECONDS = 120
_AGAIN = 1.0


@pytest.mark.parametrize("component", ["postgres", "temporal"])
async def test_deleted(release: Release, steps: Steps, component: str) -> None:
    (pod,) = release.namespace.pods(component)
    with steps.step(f"{component}'s pod deleted, orders under way") as step:
        uid = release.uid(pod)
        async with release.books() as pool, release.shop() as shop:
            placed = await shop.place_apart("under-way", _ORDERS, _APART)
            before = await rows_of(pool)
            open_before = await states(pool, placed)
        began = time.monotonic()
        release.delete_pod(pod)
        await asyncio.to_thread(release.until_replaced, component, uid)
        ready = time.monotonic() - began
        async with release.shop() as shop:
            later = await _until_fulfilled(shop)
        works = time.monotonic() - began
        async with release.books() as pool:
            books = await balanced(pool, [*placed, *later], seconds=_ENDED_SECONDS)
            lost = before - await rows_of(pool)
            assert not lost
            ended = await states(pool, placed)
            assert sum(ended.values()) == _ORDERS
            step.saw(
                at_deletion=open_before,
                ended=ended,
                ready_after=f"{ready:.1f} s",
                fulfils_after=f"{works:.1f} s",
                orders_until_then=len(later),
                refunded=books.refunded,
            )


async def _until_fulfilled(shop: Shop) -> list[str]:
    """Place orders, as clients do, until an order is fulfilled; return the accepted orders."""
    accepted: list[str] = []
    async with asyncio.timeout(_WORKS_SECONDS):
        while True:
            answer = await shop.start(order_id := new_id("later"))
            if answer.status_code == HTTPStatus.ACCEPTED:
                accepted.append(order_id)
            else:
                # Without Postgres or Temporal, the API may answer with 503 only.
                assert answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE, answer.text
            await asyncio.sleep(_AGAIN)
            for accepted_id in accepted:
                answer = await shop.http.get(f"/orders/{accepted_id}")
                if answer.status_code == HTTPStatus.OK and answer.json()["state"] == "fulfilled":
                    return accepted
