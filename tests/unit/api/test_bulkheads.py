"""Bulkheads: each kind of work has its own bound, and every wait has an end."""

import asyncio
from http import HTTPStatus

import pytest
from prometheus_client import CollectorRegistry

from orderfleet_api.bulkheads import Bulkhead, BulkheadFullError, Bulkheads, Turns
from orderfleet_api.settings import ApiSettings


class Held:
    """Visitors that stay inside until `go` is set."""

    def __init__(self, bulkhead: Bulkhead) -> None:
        self.bulkhead = bulkhead
        self.inside = 0
        self.go = asyncio.Event()

    async def visit(self) -> None:
        async with self.bulkhead:
            self.inside += 1
            await self.go.wait()
            self.inside -= 1


async def let_others_run() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def refused(results: list[BaseException | None]) -> list[BulkheadFullError]:
    return [result for result in results if isinstance(result, BulkheadFullError)]


async def test_work_beyond_the_limit_is_refused_at_once() -> None:
    held = Held(Bulkhead("things", 3))
    tasks = [asyncio.create_task(held.visit()) for _ in range(5)]
    await let_others_run()
    assert (held.inside, held.bulkhead.in_use, held.bulkhead.refused) == (3, 3, 2)
    held.go.set()
    [first, second] = refused(await asyncio.gather(*tasks, return_exceptions=True))
    assert first.status_code == second.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert first.headers == {"Retry-After": "1"}
    assert "Too many things" in first.detail
    assert held.bulkhead.in_use == 0
    async with held.bulkhead:
        assert held.bulkhead.in_use == 1


async def test_some_wait_for_their_turn_and_the_rest_is_refused() -> None:
    held = Held(Turns("reads", 2, waiting=3, seconds=60))
    tasks = [asyncio.create_task(held.visit()) for _ in range(7)]
    await let_others_run()
    assert (held.inside, held.bulkhead.refused) == (2, 2)
    held.go.set()
    assert len(refused(await asyncio.gather(*tasks, return_exceptions=True))) == 2
    assert held.bulkhead.in_use == 0


async def test_a_turn_that_does_not_come_is_given_up() -> None:
    held = Held(Turns("reads", 1, waiting=3, seconds=0.05))
    inside = asyncio.create_task(held.visit())
    await let_others_run()
    with pytest.raises(BulkheadFullError, match="Too many reads"):
        await held.visit()
    assert held.bulkhead.refused == 1
    held.go.set()
    await inside
    await held.visit()
    assert held.bulkhead.in_use == 0


async def test_a_cancelled_task_leaves_its_place() -> None:
    for bulkhead in (Bulkhead("things", 1), Turns("reads", 1, waiting=2, seconds=60)):
        held = Held(bulkhead)
        tasks = [asyncio.create_task(held.visit()) for _ in range(2)]
        await let_others_run()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        held.go.set()
        await held.visit()
        assert bulkhead.in_use == 0


@pytest.mark.parametrize(("pool", "reads"), [(1, 1), (2, 1), (3, 2), (10, 6), (50, 33)])
def test_reads_leave_a_part_of_the_pool_to_orders(pool: int, reads: int) -> None:
    settings = ApiSettings(database_pool_size=pool)
    assert Bulkheads(settings, CollectorRegistry()).reads.limit == reads


async def test_each_kind_has_its_metrics() -> None:
    registry = CollectorRegistry()
    bulkheads = Bulkheads(ApiSettings(api_streams=1), registry)
    async with bulkheads.streams:
        with pytest.raises(BulkheadFullError):
            bulkheads.streams.enter()

        def sample(name: str, kind: str) -> float | None:
            return registry.get_sample_value(f"orderfleet_bulkhead_{name}", {"kind": kind})

        assert [sample(name, "streams") for name in ("in_use", "limit", "refused_total")] == [
            1,
            1,
            1,
        ]
        for kind in ("connections", "starts", "worker_calls", "temporal_calls", "reads"):
            assert (sample("in_use", kind), sample("refused_total", kind)) == (0, 0)
            assert (sample("limit", kind) or 0) > 0


async def test_as_many_streams_as_there_may_be_open_at_once() -> None:
    bulkheads = Bulkheads(ApiSettings(), CollectorRegistry())

    async def look() -> None:
        async with bulkheads.reads:
            await asyncio.sleep(0)

    await asyncio.gather(*(look() for _ in range(bulkheads.streams.limit)))
    assert bulkheads.reads.refused == 0
