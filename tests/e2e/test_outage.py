"""Postgres or Temporal is away under running orders: 503 meanwhile, then all goes on."""

import asyncio
import re
import signal
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import httpx
import pytest

from orderfleet_cli.errors import CommandError
from tests.e2e.support.costs import Costs
from tests.e2e.support.orders import Json, Orders, eventually, new_id, seconds, types
from tests.integration.support.ill import read_only, standing_still

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.alone]

_KINDS = ("slow-charge", "slow-carrier", "plain")
_PHASES = dict(zip(_KINDS, ("a charge", "a dispatch", "review"), strict=True))


async def _in_every_phase(orders: Orders) -> dict[str, str]:
    """Place orders such that one is charging, one dispatching, one in review."""
    charging, dispatching = await asyncio.gather(*(orders.place(kind) for kind in _KINDS[:2]))
    await orders.until(dispatching, "prepared")
    reviewed = await orders.place(_KINDS[2])
    await orders.until(reviewed, "validated")
    return dict(zip(_KINDS, (charging, dispatching, reviewed), strict=True))


async def _is_told(ask: Callable[[], Awaitable[httpx.Response]]) -> None:
    answer = await ask()
    assert answer.status_code == 503, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert int(answer.headers["Retry-After"]) > 0


async def _all_end(
    orders: Orders, placed: dict[str, str], what: str, undisturbed: dict[str, float], costs: Costs
) -> None:
    for kind, order_id in placed.items():
        order: Json = await orders.completed(order_id)
        assert len(await orders.charges(order_id)) <= 1
        assert types(order).count("charged") <= 1
        label = f"{what}, during {_PHASES[kind]}: {order['state']}"
        costs.add(label, undisturbed[kind], seconds(order))
    # The fleet is as it was before.
    order_id = await orders.place("plain")
    assert (await orders.ended(order_id))["state"] == "fulfilled"


async def test_postgres_killed(orders: Orders, undisturbed: dict[str, float], costs: Costs) -> None:
    placed = await _in_every_phase(orders)
    assert await orders.fleet.stop("postgres", signal.SIGKILL) == -signal.SIGKILL
    order_id = new_id("plain")
    try:
        await _is_told(lambda: orders.start(order_id))
        await _is_told(lambda: orders.http.get(f"/orders/{order_id}"))
        # The workflow knows the status without Postgres.
        assert (await orders.status(placed["plain"]))["source"] == "workflow"
    finally:
        await _start_again(orders, "postgres")
    # Nothing of what was refused was begun.
    answer = await eventually(
        lambda: orders.http.get(f"/orders/{order_id}"), lambda answer: answer.status_code != 503
    )
    assert answer.status_code == 404
    await _all_end(orders, placed, "Postgres", undisturbed, costs)


@pytest.mark.parametrize("ill", [read_only, standing_still])
async def test_postgres_ill(
    orders: Orders,
    undisturbed: dict[str, float],
    costs: Costs,
    ill: Callable[[str], AbstractAsyncContextManager[None]],
) -> None:
    placed = await _in_every_phase(orders)
    order_id = new_id("plain")
    async with ill(orders.fleet.owner_database_url):
        # More than there are connections, of which each has to find out.
        starts = (_is_told(lambda: orders.start(order_id)) for _ in range(30))
        await asyncio.gather(*starts)
        # Dependencies are a metric, not readiness.
        await eventually(lambda: _postgres_up(orders), lambda up: up == 0)
        probe = f"{orders.fleet.probe_urls['api']}/readyz"
        assert (await orders.http.get(probe)).status_code == 200
    answer = await eventually(
        lambda: orders.http.get(f"/orders/{order_id}"), lambda answer: answer.status_code != 503
    )
    assert answer.status_code == 404
    await _all_end(orders, placed, f"Postgres {ill.__name__}", undisturbed, costs)


async def _postgres_up(orders: Orders) -> float | None:
    metrics = (await orders.http.get(f"{orders.fleet.probe_urls['api']}/metrics")).text
    found = re.search(r'^orderfleet_exporter_up{source="postgres"} (\S+)$', metrics, re.MULTILINE)
    return float(found[1]) if found else None


async def test_temporal_killed(orders: Orders, undisturbed: dict[str, float], costs: Costs) -> None:
    placed = await _in_every_phase(orders)
    assert await orders.fleet.stop("temporal", signal.SIGKILL) == -signal.SIGKILL
    order_id = new_id("plain")
    try:
        # The record knows the status without Temporal.
        reviewed = placed["plain"]
        told = asyncio.gather(
            _is_told(lambda: orders.start(order_id)),
            _is_told(lambda: orders.cancel(reviewed)),
            _is_told(lambda: orders.review(reviewed, approved=True)),
        )
        assert (await orders.status(reviewed))["source"] == "record"
        await told
    finally:
        await _start_again(orders, "temporal")
    answer = await eventually(
        lambda: orders.start(order_id), lambda answer: answer.status_code != 503
    )
    assert answer.status_code == 202
    await orders.completed(order_id)
    await _all_end(orders, placed, "Temporal", undisturbed, costs)


async def _start_again(orders: Orders, name: str) -> None:
    for last in (False, False, True):
        try:
            await orders.fleet.start(name)
            return
        except CommandError:
            # The dead one's children may hold its memory for a moment longer.
            if last:
                raise
            await orders.fleet.stop(name)
            await asyncio.sleep(1)


async def test_the_books_balance(orders: Orders) -> None:
    await orders.balanced()
