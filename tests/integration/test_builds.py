"""Builds side by side: an order ends on the build on which it began, whoever comes and goes."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

import orderfleet_order_worker
from orderfleet.domain.orders import OrderState
from orderfleet.temporal.queue_workers import list_queue_workers
from orderfleet.versions.build import build_id
from orderfleet.versions.deployments import Version, describe_deployment, set_current
from orderfleet.versions.serving import find_version
from tests.integration.support.builds import (
    NEXT,
    becomes_current,
    current,
    ended_cleanly,
    listed,
    place,
    place_begun,
    pod,
    ready,
)
from tests.integration.support.fleet import Fleet, eventually, new_id
from tests.integration.support.versions import current as make_current

# Longer than a worker takes that leaves at once: half a second at random, and the calls.
AT_ONCE = 1.2


@pytest_asyncio.fixture(autouse=True)
async def shipping(fleet: Fleet) -> AsyncIterator[None]:
    """Ship without versioning: the queues are versioned one by one."""
    async with fleet.shipping_worker(sandbox=False):
        yield


def _version(fleet: Fleet, build: str) -> Version:
    return Version(fleet.order_settings().order_task_queue, build)


async def _open(fleet: Fleet, order_id: str) -> bool:
    return await fleet.state(order_id) is OrderState.IN_REVIEW


# --- Promotion and readiness -------------------------------------------------------------------


async def test_orders_end_on_the_build_on_which_they_began(fleet: Fleet) -> None:
    """Both have the same name and other commands: neither could go on with the other's order."""
    async with pod(fleet, "old") as old:
        await ready(old)
        before = [await place_begun(fleet) for _ in range(3)]
        async with pod(fleet, "new", workflows=NEXT) as new:
            await ready(new)
            assert await current(fleet) == "new"
            after = [await place_begun(fleet) for _ in range(3)]
            assert [await ended_cleanly(fleet, order_id) for order_id in before] == ["old"] * 3
            assert [await ended_cleanly(fleet, order_id) for order_id in after] == ["new"] * 3


async def test_a_gated_worker_is_ready_once_its_build_is_current_and_stays_ready(
    fleet: Fleet,
) -> None:
    async with pod(fleet, "old") as old:
        await ready(old)
        async with pod(fleet, "new", promotion="gate") as new:
            await asyncio.sleep(2)
            assert not new.serving.ready
            assert await current(fleet) == "old"
            await set_current(fleet.temporal, _version(fleet, "new"))
            await ready(new)
            await set_current(fleet.temporal, _version(fleet, "old"))
            await asyncio.sleep(1)
            assert new.serving.ready


async def test_a_gated_worker_takes_a_queue_that_nobody_serves(fleet: Fleet) -> None:
    order_id = await place(fleet, review=0)
    async with pod(fleet, "first", promotion="gate") as first:
        await ready(first)
        assert await ended_cleanly(fleet, order_id) == "first"


async def test_without_a_promotion_of_its_own_a_worker_is_ready_at_once(fleet: Fleet) -> None:
    async with pod(fleet, "first", promotion="none") as first:
        assert first.serving.ready
        await asyncio.sleep(2)
        assert await current(fleet) is None


async def test_who_promotes_a_build_may_name_its_version(fleet: Fleet) -> None:
    """As Temporal's Worker Controller does, which makes the build current once it polls."""
    version = Version(f"shop/{new_id()}", "1.2.0-3f2a")
    settings = fleet.order_settings(
        versioning="on",
        version_promotion="none",
        deployment_name=version.deployment,
        worker_build_id=version.build,
    )
    named = await find_version(
        fleet.temporal, settings, settings.order_task_queue, orderfleet_order_worker
    )
    assert named == version
    async with pod(
        fleet, version.build, promotion="none", deployment=version.deployment
    ) as controlled:
        await make_current(fleet.temporal, version)
        begun = await place_begun(fleet)
        await controlled.stop()
        assert await ended_cleanly(fleet, begun) == version.build
    assert (await describe_deployment(fleet.temporal, version.deployment)).current == version.build


# --- Farewell ----------------------------------------------------------------------------------


async def test_the_old_build_waits_for_its_orders(fleet: Fleet) -> None:
    async with pod(fleet, "old") as old:
        await ready(old)
        order_id = await place_begun(fleet, review=5)
        async with pod(fleet, "new", workflows=NEXT) as new:
            await ready(new)
            stopping = asyncio.create_task(old.stop())
            await asyncio.sleep(AT_ONCE)
            assert await _open(fleet, order_id)
            assert not stopping.done()
            assert await ended_cleanly(fleet, order_id) == "old"
            async with asyncio.timeout(5):
                await stopping


async def test_but_no_longer_than_it_may(fleet: Fleet) -> None:
    async with pod(fleet, "old") as old:
        await ready(old)
        order_id = await place_begun(fleet, review=8)
        async with pod(fleet, "new") as new:
            await ready(new)
            await old.serving.wait_for_orders(2)
            assert await _open(fleet, order_id)
            await ended_cleanly(fleet, order_id)


async def test_a_pod_of_the_current_build_leaves_at_once_if_another_one_stays(
    fleet: Fleet,
) -> None:
    async with pod(fleet, "same") as leaving, pod(fleet, "same", promotion="gate") as staying:
        await ready(leaving, staying)
        await listed(fleet, "same", 2)
        order_id = await place_begun(fleet, review=5)
        with capture_logs() as lines:
            await leaving.stop()
        assert await _open(fleet, order_id)
        assert [line["event"] for line in lines] == []
        assert await ended_cleanly(fleet, order_id) == "same"
        assert await current(fleet) == "same"


async def test_two_pods_of_the_old_build_do_not_count_on_each_other(fleet: Fleet) -> None:
    async with pod(fleet, "old") as one, pod(fleet, "old") as two:
        await ready(one, two)
        order_id = await place_begun(fleet, review=5)
        async with pod(fleet, "new", workflows=NEXT) as new:
            await ready(new)
            stopping = [asyncio.create_task(old.stop()) for old in (one, two)]
            await asyncio.sleep(AT_ONCE)
            assert await _open(fleet, order_id)
            assert not any(task.done() for task in stopping)
            assert await ended_cleanly(fleet, order_id) == "old"
            await asyncio.gather(*stopping)


async def test_the_last_of_two_pods_of_the_current_build_waits_for_the_orders(
    fleet: Fleet,
) -> None:
    """All leave, as when a fleet is scaled to 0."""
    async with pod(fleet, "same") as one, pod(fleet, "same") as two:
        await ready(one, two)
        await listed(fleet, "same", 2)
        order_id = await place_begun(fleet, review=5)
        await one.stop()
        assert await _open(fleet, order_id)
        stopping = asyncio.create_task(two.stop())
        await asyncio.sleep(AT_ONCE)
        assert not stopping.done()
        assert await ended_cleanly(fleet, order_id) == "same"
        await stopping


async def test_new_orders_wait_for_what_comes_after_the_last_worker(fleet: Fleet) -> None:
    """A worker that is started again with other code: `make up`, Tilt."""
    async with pod(fleet, "old") as old:
        await ready(old)
        begun = await place_begun(fleet)
        stopping = asyncio.create_task(old.stop())
        await becomes_current(fleet, None)
        waiting = await place(fleet)
        assert await ended_cleanly(fleet, begun) == "old"
        async with asyncio.timeout(5):
            await stopping
    async with pod(fleet, "new", workflows=NEXT):
        assert await ended_cleanly(fleet, waiting) == "new"


async def test_the_next_build_goes_on_with_orders_whose_workers_are_gone(fleet: Fleet) -> None:
    """As after a kill: nobody waited for them."""
    async with pod(fleet, "old") as old:
        await ready(old)
        order_id = await place_begun(fleet)
        await old.stop(0)
    async with pod(fleet, "new"):
        assert await ended_cleanly(fleet, order_id) == "new"


# --- On and off --------------------------------------------------------------------------------


async def test_a_fleet_becomes_versioned_with_orders_open(fleet: Fleet) -> None:
    async with pod(fleet, "") as old:
        before = [await place_begun(fleet) for _ in range(3)]
        async with pod(fleet, "first") as first:
            await ready(first)
            after = await place_begun(fleet)
            await old.stop()
            await old.worker.shutdown()
            assert [await ended_cleanly(fleet, order_id) for order_id in before] == ["first"] * 3
            assert await ended_cleanly(fleet, after) == "first"


async def test_a_worker_that_is_turned_off_takes_new_orders_and_the_old_build_ends_its_own(
    fleet: Fleet,
) -> None:
    async with pod(fleet, "old") as old:
        await ready(old)
        before = await place_begun(fleet)
        async with pod(fleet, ""):
            await becomes_current(fleet, None)
            after = await place_begun(fleet)
            await old.stop()
            assert await fleet.state(before) is OrderState.FULFILLED
            assert await ended_cleanly(fleet, before) == "old"
            assert await ended_cleanly(fleet, after) == ""


async def test_a_queue_goes_back_to_an_older_release(fleet: Fleet) -> None:
    """Its workers know nothing of versions: a versioned one that stops hands the orders over."""
    queue = fleet.order_settings().order_task_queue
    async with pod(fleet, "old", promotion="gate") as old:
        await ready(old)
        before = await place_begun(fleet)
        async with pod(fleet, "", promotion="none"):

            async def polls() -> bool:
                return bool((await list_queue_workers(fleet.temporal, queue)).of(""))

            await eventually(polls)
            assert await current(fleet) == "old"
            await old.stop()
            assert await current(fleet) is None
            assert await ended_cleanly(fleet, before) == "old"
            assert await ended_cleanly(fleet, await place(fleet, review=0)) == ""


async def test_a_server_without_versions_is_told_of_in_one_line(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = fleet.order_settings(versioning="on")
    queue = settings.order_task_queue
    version = await find_version(fleet.temporal, settings, queue, orderfleet_order_worker)
    assert version == Version(queue, build_id(orderfleet_order_worker))
    monkeypatch.setattr("orderfleet.versions.deployments._FIRST_SERVER", (99, 0))
    with capture_logs() as lines:
        assert await find_version(fleet.temporal, settings, queue, orderfleet_order_worker) is None
    assert [line["log_level"] for line in lines] == ["warning"]
    assert "needs Temporal 1.29" in lines[0]["event"]
    off = fleet.order_settings(versioning="off")
    with capture_logs() as lines:
        assert await find_version(fleet.temporal, off, queue, orderfleet_order_worker) is None
    assert not lines
