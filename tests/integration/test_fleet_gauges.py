"""The metrics of the whole fleet, against real Postgres and Temporal."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry
from temporalio.client import Client

from orderfleet.domain.orders import OPEN_STATES, OrderState
from orderfleet.settings import CommonSettings
from orderfleet.store.migrations import migrations
from orderfleet.store.pool import Pool, open_pool
from orderfleet.temporal.client import connect
from orderfleet.versions.deployments import set_ramp
from orderfleet_api import order_service
from orderfleet_api.fleet_exporter import fleet_gauges
from tests.integration.support.books import put_order, put_payment
from tests.integration.support.fleet import Fleet, an_order, eventually, new_id
from tests.integration.support.proxy import wire_to
from tests.integration.support.versions import build, current, pinned

Gauges = dict[tuple[str, ...], float]
_OF_POSTGRES = {
    "open_orders",
    "overdue_orders",
    "pending_refunds",
    "oldest_pending_refund_seconds",
    "schema_version",
    "migration_failed",
}
_OF_TEMPORAL = {"task_queue_backlog", "task_queue_backlog_age_seconds", "task_queue_pollers"}


class Scrapes:
    """What a scrape would return, by name without prefix and values of labels."""

    def __init__(self, fleet: Fleet, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._suffix = f"-{fleet.suffix}"

    def now(self) -> Gauges:
        return {
            (
                sample.name.removeprefix("orderfleet_"),
                *(value.removesuffix(self._suffix) for value in sample.labels.values()),
            ): sample.value
            for family in self._registry.collect()
            for sample in family.samples
        }

    def names(self) -> set[str]:
        return {key[0] for key in self.now()}

    async def until(self, true: Callable[[Gauges], bool]) -> Gauges:
        gauges: Gauges = {}

        async def holds() -> bool:
            nonlocal gauges
            gauges = self.now()
            return true(gauges)

        try:
            await eventually(holds)
        except TimeoutError:
            raise AssertionError(f"it came no further than {gauges}") from None
        return gauges


@asynccontextmanager
async def exporting(
    fleet: Fleet, *, pool: Pool | None = None, temporal: Client | None = None
) -> AsyncIterator[Scrapes]:
    registry = CollectorRegistry()
    settings = fleet.backends(order_deadline_seconds=15.0, exporter_seconds=1.0).settings
    async with fleet_gauges(registry, pool or fleet.pool, temporal or fleet.temporal, settings):
        scrapes = Scrapes(fleet, registry)
        await scrapes.until(lambda _: scrapes.names() >= {"exporter_up"})
        yield scrapes


def up(gauges: Gauges) -> tuple[float | None, float | None]:
    return gauges.get(("exporter_up", "postgres")), gauges.get(("exporter_up", "temporal"))


async def test_without_a_worker_the_backlog_and_the_open_orders_are_told(fleet: Fleet) -> None:
    for _ in range(3):
        order_id = new_id()
        await order_service.accept(fleet.backends(), order_id, an_order(f"pay-{order_id}"))
    async with exporting(fleet) as scrapes:
        gauges = await scrapes.until(
            lambda now: now.get(("task_queue_backlog", "orders", "workflow")) == 3
        )
        assert up(gauges) == (1, 1)
        assert scrapes.names() == {"exporter_up"} | _OF_POSTGRES | _OF_TEMPORAL
        aged = ("task_queue_backlog_age_seconds", "orders", "workflow")
        gauges = await scrapes.until(lambda now: now[aged] > 1)
        assert gauges[aged] < 60
        for queue, kind in (("orders", "activity"), ("shipping", "workflow")):
            assert gauges["task_queue_backlog", queue, kind] == 0
            assert gauges["task_queue_backlog_age_seconds", queue, kind] == 0
            assert gauges["task_queue_pollers", queue, kind] == 0
        assert {key[1] for key in gauges if key[0] == "open_orders"} == OPEN_STATES
        assert gauges["open_orders", "received"] == 3
        assert gauges["open_orders", "shipping"] == 0
        assert gauges["schema_version",] == migrations()[-1][0]
        async with fleet.working():
            await scrapes.until(
                lambda now: (
                    now["task_queue_backlog", "orders", "workflow"] == 0
                    and now["task_queue_pollers", "orders", "workflow"] == 1
                    and now["task_queue_pollers", "shipping", "activity"] == 1
                    and now["open_orders", "received"] == 0
                )
            )


async def test_without_postgres_its_gauges_are_absent_until_it_is_back(fleet: Fleet) -> None:
    port = urlsplit(fleet.database.url).port
    assert port is not None
    async with wire_to(port) as wire:
        url = fleet.database.url.replace(f":{port}/", f":{wire.port}/")
        async with (
            open_pool(url, size=2, wait_seconds=0, lazy=True) as pool,
            exporting(fleet, pool=pool) as scrapes,
        ):
            await scrapes.until(lambda now: up(now) == (1, 1))
            await wire.cut()
            await scrapes.until(lambda now: up(now) == (0, 1))
            assert scrapes.names() == {"exporter_up"} | _OF_TEMPORAL
            await wire.mend()
            await scrapes.until(lambda now: up(now) == (1, 1))
            assert scrapes.names() >= _OF_POSTGRES


async def test_without_temporal_its_gauges_are_absent_until_it_is_there(fleet: Fleet) -> None:
    async with wire_to(int(fleet.address.rpartition(":")[2])) as wire:
        await wire.cut()
        settings = CommonSettings(temporal_address=f"127.0.0.1:{wire.port}")
        # As the API does; it has not connected yet.
        client = await connect(settings, lazy=True, retries=2)
        async with exporting(fleet, temporal=client) as scrapes:
            await scrapes.until(lambda now: up(now) == (1, 0))
            assert scrapes.names() == {"exporter_up"} | _OF_POSTGRES
            await wire.mend()
            await scrapes.until(lambda now: up(now) == (1, 1))
            assert scrapes.names() >= _OF_TEMPORAL
            await wire.cut()
            await scrapes.until(lambda now: up(now) == (1, 0))
            assert not scrapes.names() & _OF_TEMPORAL


async def test_overdue_orders_and_pending_refunds(fleet: Fleet, owner: Pool) -> None:
    async def order(state: OrderState, age: float, payment: str = "") -> None:
        order_id = new_id()
        await put_order(owner, order_id, state)
        if payment:
            await put_payment(owner, order_id, payment)
        if state.ended:
            # The row says less: a change that comes too late renews it.
            await owner.execute(
                "INSERT INTO events (order_id, number, type, payload_json, event_key, ts)"
                " VALUES ($1, 2, $2, '{}', 'ended', now() - make_interval(secs => $3))",
                order_id,
                state,
                age,
            )
        await owner.execute(
            "UPDATE orders SET created_at = now() - make_interval(secs => $2) WHERE id = $1",
            order_id,
            age,
        )

    # Late by the 15 s of an order, but not by more than 5 s.
    await order(OrderState.CHARGING, 17, "pending")
    await order(OrderState.CHARGED, 25, "captured")
    await order(OrderState.RECEIVED, 300)
    await order(OrderState.FULFILLED, 900, "captured")
    await order(OrderState.CANCELLED, 900, "refunded")
    await order(OrderState.REJECTED, 900)
    async with exporting(fleet) as scrapes:
        gauges = await scrapes.until(lambda now: up(now)[0] == 1)
        assert gauges["overdue_orders",] == 2
        assert gauges["pending_refunds",] == gauges["oldest_pending_refund_seconds",] == 0
        await order(OrderState.TIMED_OUT, 40, "pending")
        await order(OrderState.FAILED, 100, "captured")
        gauges = await scrapes.until(lambda now: now["pending_refunds",] == 2)
        assert 100 <= gauges["oldest_pending_refund_seconds",] < 160
        assert gauges["overdue_orders",] == 2


async def test_the_builds_of_versioned_workers_are_exported(fleet: Fleet) -> None:
    queue = fleet.common()["order_task_queue"]
    async with exporting(fleet) as scrapes, build(fleet.temporal, queue, "one") as one:
        assert not any(name.startswith("version_") for name in scrapes.names())
        await current(fleet.temporal, one)
        gauges = await scrapes.until(lambda now: now.get(_share("one", "current")) == 1)
        assert gauges["version_ramp_seconds", "orders"] == 0
        async with build(fleet.temporal, queue, "two") as two:
            await set_ramp(fleet.temporal, two, 25)
            gauges = await scrapes.until(lambda now: now.get(_share("two", "ramping")) == 0.25)
            assert gauges[_share("one", "current")] == 0.75
            assert gauges["version_pollers", "orders", "two", "ramping"] == 1
            await set_ramp(fleet.temporal, two, 100)
            await pinned(fleet.temporal, two)
            opened = ("version_open_orders", "orders", "two", "ramping")
            gauges = await scrapes.until(lambda now: now.get(opened) == 1)
            await scrapes.until(lambda now: now["version_ramp_seconds", "orders"] > 1)
            # The queue of the shipping workers, which nobody versions, has none.
            assert {key[1] for key in gauges if key[0].startswith("version_")} == {"orders"}


def _share(build_id: str, status: str) -> tuple[str, ...]:
    return "version_share", "orders", build_id, status
