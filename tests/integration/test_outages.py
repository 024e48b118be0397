"""Postgres or Temporal is away: nothing half-done is accepted, and nothing accepted is lost."""

import asyncio
from http import HTTPStatus

import pytest
import structlog
from litestar.plugins.problem_details import ProblemDetailsException
from temporalio.service import RPCError, RPCStatusCode

from orderfleet.domain.contract import Review
from orderfleet.domain.orders import OrderState
from orderfleet.settings import CommonSettings
from orderfleet.store.pool import Pool, open_pool
from orderfleet.temporal.client import connect
from orderfleet_api import order_service
from orderfleet_api.backends import Backends
from tests.integration.support.books import books
from tests.integration.support.chaos import Fate, fated
from tests.integration.support.fleet import HOME, Fleet, an_order, new_id
from tests.integration.support.proxy import wire_to, wire_to_postgres

# What a server process says to its client before it ends, as an ErrorResponse of the protocol.
_FATAL = b"SFATAL\0VFATAL\0C57P01\0Mterminating connection\0\0"
_LAST_WORD = b"E" + (4 + len(_FATAL)).to_bytes(4, "big") + _FATAL


async def _unstarted(fleet: Fleet, order_id: str) -> bool:
    try:
        await fleet.workflow(order_id).describe()
    except RPCError as error:
        return error.status is RPCStatusCode.NOT_FOUND
    return False


async def test_without_postgres_nothing_is_started(fleet: Fleet) -> None:
    order_id = new_id()
    order = an_order(f"pay-{order_id}")
    async with (
        wire_to_postgres(fleet.database.url) as (wire, url),
        open_pool(url, size=3, wait_seconds=0) as pool,
    ):
        backends = Backends(pool, fleet.temporal, fleet.backends().settings)
        await pool.fetchval("SELECT 1")
        await wire.cut()
        for _ in range(3):
            with pytest.raises(ProblemDetailsException) as raised:
                await order_service.accept(backends, order_id, order)
            assert raised.value.status_code == HTTPStatus.SERVICE_UNAVAILABLE
            assert raised.value.headers == {"Retry-After": "1"}
        assert await _unstarted(fleet, order_id)
        # The same pool works again as soon as Postgres is back.
        await wire.mend()
        accepted = await order_service.accept(backends, order_id, order)
        assert accepted.state is OrderState.RECEIVED
    async with fleet.working():
        assert (await fleet.result(order_id)).state is OrderState.FULFILLED


async def test_a_connection_that_is_about_to_end_is_an_outage(fleet: Fleet) -> None:
    async with (
        wire_to_postgres(fleet.database.url) as (wire, url),
        open_pool(url, size=1, wait_seconds=0) as pool,
    ):
        backends = Backends(pool, fleet.temporal, fleet.backends().settings)
        await pool.fetchval("SELECT 1")
        await wire.tell(_LAST_WORD)
        await asyncio.sleep(0.1)
        with pytest.raises(ProblemDetailsException) as raised:
            await order_service.find(backends, new_id())
        assert raised.value.status_code == HTTPStatus.SERVICE_UNAVAILABLE


@pytest.mark.parametrize("fate", [Fate.LOST_BEFORE, Fate.LOST_AFTER])
async def test_away_only_after_the_start_the_order_stays_accepted(fleet: Fleet, fate: Fate) -> None:
    order_id = new_id()
    # The look-up, then the row.
    pool = fated(fleet.pool, [Fate.FINE, fate])
    backends = Backends(pool, fleet.temporal, fleet.backends().settings)
    await order_service.accept(backends, order_id, an_order(f"pay-{order_id}"))
    assert (await fleet.state(order_id) is None) == (fate is Fate.LOST_BEFORE)
    async with fleet.working():
        assert (await fleet.result(order_id)).state is OrderState.FULFILLED
    types = await fleet.event_types(order_id)
    assert types.count("received") == 1


async def test_refused_only_after_the_start_the_order_stays_accepted(
    fleet: Fleet, owner: Pool
) -> None:
    """Postgres is there and will not have the row: no outage, and the order is accepted by then."""
    order_id = new_id()
    await owner.execute("ALTER TABLE orders ADD CONSTRAINT refused CHECK (state <> 'received')")
    order = an_order(f"pay-{order_id}")
    with structlog.testing.capture_logs() as lines:
        accepted = await order_service.accept(fleet.backends(), order_id, order)
    assert accepted.state is OrderState.RECEIVED
    assert await fleet.state(order_id) is None
    [line] = lines
    assert (line["event"], line["log_level"]) == ("accepted without a row", "error")
    assert line["error"].startswith("CheckViolationError")
    assert HOME.street not in str(line)
    await owner.execute("ALTER TABLE orders DROP CONSTRAINT refused")
    async with fleet.working():
        assert (await fleet.result(order_id)).state is OrderState.FULFILLED


async def test_without_temporal_nothing_is_accepted(fleet: Fleet, unused_tcp_port: int) -> None:
    settings = fleet.backends(
        temporal_address=f"127.0.0.1:{unused_tcp_port}",
        temporal_wait_seconds=0.5,
        change_wait_seconds=0.5,
        query_wait_seconds=0.5,
    ).settings
    nowhere = await connect(settings, lazy=True)
    backends = Backends(fleet.pool, nowhere, settings)
    order_id, accepted = new_id(), new_id()
    await order_service.accept(fleet.backends(), accepted, an_order(f"pay-{accepted}"))
    for call in (
        order_service.accept(backends, order_id, an_order(f"pay-{order_id}")),
        order_service.cancel(backends, accepted, "c", ""),
        order_service.update_address(backends, accepted, "a", HOME),
        order_service.review(backends, accepted, "r", Review(approved=True)),
        order_service.status(backends, order_id),
    ):
        async with asyncio.timeout(10):
            with pytest.raises(ProblemDetailsException) as raised:
                await call
        assert raised.value.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    # Nothing was written about the first order, nor about the other beyond its acceptance.
    assert await fleet.state(order_id) is None
    assert await fleet.event_types(accepted) == ["received"]
    assert (await order_service.status(backends, accepted)).source == "record"
    # A repeat of an order that is on record needs no Temporal.
    await order_service.accept(backends, accepted, an_order(f"pay-{accepted}"))


async def test_temporal_lost_in_the_middle_is_503_and_comes_back(fleet: Fleet) -> None:
    async with wire_to(int(fleet.address.rsplit(":", 1)[1])) as wire:
        address = f"127.0.0.1:{wire.port}"
        client = await connect(CommonSettings(temporal_address=address))
        settings = fleet.backends(temporal_wait_seconds=1.0).settings
        backends = Backends(fleet.pool, client, settings)
        first, second = new_id(), new_id()
        await order_service.accept(backends, first, an_order(f"pay-{first}"))
        await wire.cut()
        with pytest.raises(ProblemDetailsException) as raised:
            await order_service.accept(backends, second, an_order(f"pay-{second}"))
        assert raised.value.status_code == HTTPStatus.SERVICE_UNAVAILABLE
        assert await fleet.state(second) is None
        await wire.mend()
        async with asyncio.timeout(30):
            while True:
                try:
                    await order_service.accept(backends, second, an_order(f"pay-{second}"))
                    break
                except ProblemDetailsException:
                    await asyncio.sleep(0.2)
    assert len((await books(fleet.pool, second)).events) == 1
