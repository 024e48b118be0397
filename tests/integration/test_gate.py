"""The gate's steps on a real server, with workers of two builds and a flow of orders."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from time import monotonic

import pytest
from temporalio.client import Client

from orderfleet.domain.contract import ORDER_WORKFLOW, REFUND_WORKFLOW
from orderfleet.polling import poll
from orderfleet.temporal.task_queues import describe_task_queue
from orderfleet.versions.deployments import (
    Version,
    VersionStatus,
    describe_deployment,
    set_ramp,
    unset_ramp,
)
from orderfleet.versions.judgement import Limits, Order
from orderfleet.versions.order_samples import OrderSampler
from orderfleet.versions.rollout import Candidate, Terms, roll_out
from orderfleet.versions.routing import RolloutError
from tests.integration.support.fleet import eventually
from tests.integration.support.gate_builds import (
    BrokenOrder,
    FailedOrder,
    GoodOrder,
    OtherOrder,
    OtherRefund,
    Refund,
    SlowOrder,
    order_flow,
    results,
    two_builds,
)
from tests.integration.support.versions import build, current

TERMS = Terms(
    percent=30,
    wait_seconds=10,
    limits=Limits(least_orders=5, least_seconds=3, most_seconds=30),
)


def candidate(version: Version, order: type = GoodOrder, refund: type = Refund) -> Candidate:
    return Candidate(
        version, version.deployment, [order, refund], ORDER_WORKFLOW, [REFUND_WORKFLOW]
    )


async def routing(client: Client, queue: str) -> tuple[str | None, str | None]:
    """Return the current and the ramping build."""
    deployment = await describe_deployment(client, queue)
    return deployment.current, deployment.ramping


async def ramping(client: Client, queue: str) -> None:
    """Wait until a build ramps."""

    async def ramps() -> bool:
        described = await describe_task_queue(client, queue, "workflow")
        return bool(described.versioning_info.ramping_deployment_version.build_id)

    await eventually(ramps)


async def test_the_first_build_serves_at_once(client: Client, queue: str) -> None:
    async with build(client, queue, "one", GoodOrder) as one:
        await roll_out(client, candidate(one), TERMS)
        assert await routing(client, queue) == ("one", None)


async def test_the_build_that_is_current_needs_no_ramp(client: Client, queue: str) -> None:
    async with two_builds(client, queue, GoodOrder) as two:
        # Of a gate that was killed.
        await set_ramp(client, two, 10)
        await roll_out(client, candidate(replace(two, build="one")), TERMS)
        assert await routing(client, queue) == ("one", None)


async def test_a_good_build_is_promoted(client: Client, queue: str) -> None:
    async with two_builds(client, queue, GoodOrder) as two:
        async with order_flow(client, queue) as ids:
            began = monotonic()
            await roll_out(client, candidate(two), TERMS)
            assert monotonic() - began >= TERMS.limits.least_seconds
            assert await routing(client, queue) == ("two", None)
        await results(client, ids)


async def test_without_orders_a_build_that_polls_is_promoted(client: Client, queue: str) -> None:
    async with two_builds(client, queue, GoodOrder) as two:
        await roll_out(client, candidate(two), TERMS)
        assert await routing(client, queue) == ("two", None)


async def test_other_commands_of_a_pinned_workflow_are_promoted(client: Client, queue: str) -> None:
    async with two_builds(client, queue, OtherOrder) as two:
        async with order_flow(client, queue) as ids:
            await roll_out(client, candidate(two, OtherOrder), TERMS)
            assert await routing(client, queue) == ("two", None)
        await results(client, ids)


async def test_a_build_whose_workflow_task_fails_is_rolled_back(client: Client, queue: str) -> None:
    async with two_builds(client, queue, BrokenOrder) as two:
        async with order_flow(client, queue) as ids:
            with pytest.raises(RolloutError, match=r"not begun.*no such step"):
                await roll_out(client, candidate(two, BrokenOrder), TERMS)
            assert await routing(client, queue) == ("one", None)
        # Its orders had not begun: the current build takes them.
        await results(client, ids)


async def test_a_build_whose_orders_end_badly_is_rolled_back(client: Client, queue: str) -> None:
    async with two_builds(client, queue, FailedOrder) as two, order_flow(client, queue):
        with pytest.raises(RolloutError, match=r"orders of the new build are bad \(\d+ failed"):
            await roll_out(client, candidate(two, FailedOrder), TERMS)
        assert await routing(client, queue) == ("one", None)


async def test_a_build_that_works_longer_is_rolled_back(client: Client, queue: str) -> None:
    limits = Limits(least_orders=20, least_seconds=3, most_seconds=30)
    async with two_builds(client, queue, SlowOrder) as two:
        async with order_flow(client, queue) as ids:
            # The ramp's orders are compared with those that ended before it.
            await asyncio.sleep(2)
            with pytest.raises(RolloutError, match=r"orders take .*, 0\.\d s of it by timers"):
                await roll_out(client, candidate(two, SlowOrder), replace(TERMS, limits=limits))
            assert await routing(client, queue) == ("one", None)
        await results(client, ids)


async def test_the_time_for_which_orders_wait_for_timers(client: Client, queue: str) -> None:
    async with build(client, queue, "one", GoodOrder) as one:
        await current(client, one)
        async with order_flow(client, queue) as ids:
            await asyncio.sleep(1)
        await results(client, ids)
        sampler = OrderSampler(client, queue, ORDER_WORKFLOW, replace(one, build="two"), one)
        orders = await poll(lambda: sampler.before(datetime.now(UTC)), seconds=10)
        assert 0.3 <= await sampler.timer_seconds(orders) < 1
        assert await sampler.timer_seconds([]) == 0
        gone = Order("gone", 1.0, "fulfilled", good=True)
        assert await sampler.timer_seconds([gone]) == 0


async def test_a_refund_that_does_not_replay_is_refused_before_any_ramp(
    client: Client, queue: str
) -> None:
    async with two_builds(client, queue, GoodOrder, OtherRefund) as two:
        handle = await client.start_workflow(
            REFUND_WORKFLOW, id=f"{queue}/refund", task_queue=queue
        )

        async def begun() -> bool:
            return (await handle.describe()).history_length >= 5

        await eventually(begun)
        with pytest.raises(RolloutError, match=f"do not replay: {REFUND_WORKFLOW} {queue}/refund"):
            await roll_out(client, candidate(two, refund=OtherRefund), TERMS)
        deployment = await describe_deployment(client, queue)
        assert deployment.current == "one"
        # A build that ramped for a moment would be draining.
        assert deployment.versions[0].version == two
        assert deployment.versions[0].status is VersionStatus.INACTIVE
        await handle.terminate()


async def test_a_build_that_nobody_runs_is_refused(client: Client, queue: str) -> None:
    async with build(client, queue, "one", GoodOrder) as one:
        await current(client, one)
        message = f"no worker of build two polled {queue} within 1 s"
        with pytest.raises(RolloutError, match=message):
            await roll_out(client, candidate(Version(queue, "two")), replace(TERMS, wait_seconds=1))
        assert await routing(client, queue) == ("one", None)


async def test_a_gate_that_is_stopped_rolls_back(client: Client, queue: str) -> None:
    async with two_builds(client, queue, GoodOrder) as two:
        gate = asyncio.create_task(roll_out(client, candidate(two), TERMS))
        await ramping(client, queue)
        gate.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gate
        assert await routing(client, queue) == ("one", None)


async def test_a_hand_that_ends_the_ramp_ends_the_gate(client: Client, queue: str) -> None:
    async with two_builds(client, queue, GoodOrder) as two:
        gate = asyncio.create_task(roll_out(client, candidate(two), TERMS))
        await ramping(client, queue)
        await unset_ramp(client, queue)
        with pytest.raises(RolloutError, match="somebody else changed the routing"):
            await gate
        assert await routing(client, queue) == ("one", None)
