"""A tenant beside another's flood, before a simulated fleet that works on all tasks by turns."""

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import pytest

from tests.unit.api.admission.simulated_fleet import QUIET, Pod, SimulatedFleet, SimulatedOrder

Fleet: TypeAlias = Callable[..., SimulatedFleet]

FLEET = partial(SimulatedFleet, by_priority=False, received=0.2, refusal_work=0.003)


def of_quiet(simulated: SimulatedFleet) -> list[SimulatedOrder]:
    return [order for order in simulated.orders if order.tenant == QUIET]


def slowest(simulated: SimulatedFleet) -> float:
    """Return the 99th percentile of the quiet tenant's seconds, after the flood's first ten."""
    seconds = sorted(one.seconds for one in of_quiet(simulated) if one.accepted > 10)
    return seconds[int(0.99 * len(seconds))]


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("pods", [1, 2])
def test_a_tenant_below_its_share_gets_in_beside_a_flood(pods: int, seed: int) -> None:
    simulated = FLEET(pods=[Pod() for _ in range(pods)], seed=seed)
    simulated.run(lambda _: 10 * simulated.capacity, 60, quiet=1.0)
    assert all(order.in_time for order in simulated.orders)
    assert len(of_quiet(simulated)) == 60 - simulated.refused_of[QUIET]
    # With two pods a limit may be as small as one pod's few orders of it.
    assert simulated.refused_of[QUIET] <= 2 * (pods - 1)
    assert simulated.refused_of["tenant"] > 0


def flooded(per_second: float, fleet: Fleet = FLEET) -> SimulatedFleet:
    """Run a fleet before a flood, beside which the quiet tenant places so many orders a second."""
    simulated = fleet()
    simulated.run(lambda _: 10 * simulated.capacity, 60, quiet=per_second)
    return simulated


def left_alone(per_second: float, fleet: Fleet) -> SimulatedFleet:
    """Run a fleet before the quiet tenant and next to nobody else."""
    simulated = fleet()
    simulated.run(lambda _: 1e-6, 60, quiet=per_second)
    return simulated


# Each second, and so seldom that there is hardly ever an order of it.
@pytest.mark.parametrize("per_second", [1.0, 0.1])
# Before far more cores than were in use, or far away, the throughput of the flood rises slowly.
@pytest.mark.parametrize(
    ("fleet", "used"),
    [
        pytest.param(FLEET, 0.85, id="two cores"),
        pytest.param(partial(FLEET, cores=8), 0.65, id="eight cores"),
        pytest.param(partial(FLEET, latency=0.4), 0.65, id="Temporal far away"),
    ],
)
def test_a_tenant_beside_a_flood_waits_hardly_longer_than_alone(
    fleet: Fleet, used: float, per_second: float
) -> None:
    beside, single = flooded(per_second, fleet), flooded(0, fleet)
    assert slowest(beside) <= 1.4 * slowest(left_alone(per_second, fleet))
    assert not beside.refused_of[QUIET]
    assert all(order.in_time for order in beside.orders)
    of_single = single.fulfilled_a_second(20, 60)
    assert beside.fulfilled_a_second(20, 60) >= used * of_single


@pytest.mark.parametrize(
    "fleet",
    [
        pytest.param(partial(FLEET, work=0.4), id="slow cores"),
        pytest.param(lambda: FLEET(pods=[Pod(), Pod()]), id="two pods"),
    ],
)
def test_few_orders_of_a_flood_are_pending_before_a_small_fleet(fleet: Fleet) -> None:
    """Also of each pod, whose part of the fleet is a small one."""
    beside, single = flooded(1.0, fleet), flooded(0, fleet)
    assert slowest(beside) <= 1.6 * slowest(left_alone(1.0, fleet))
    assert all(order.in_time for order in beside.orders)
    of_single = single.fulfilled_a_second(20, 60)
    assert beside.fulfilled_a_second(20, 60) >= 0.7 * of_single


@pytest.mark.parametrize("latency", [0.03, 0.4])
def test_the_pace_ends_with_the_flood(latency: float) -> None:
    simulated = FLEET(latency=latency)
    simulated.run(lambda now: (10 if now < 60 else 0.6) * simulated.capacity, 120, quiet=1.0)
    assert len([at for at in simulated.refused if at > 70]) <= 0.02 * 60 * simulated.capacity


def test_a_flood_beside_nobody_is_not_paced() -> None:
    simulated = flooded(0)
    assert {order.tenant for order in simulated.orders} == {"tenant"}
    assert max(one.seconds for one in simulated.orders) >= 1.4 * slowest(flooded(1.0))


def test_after_an_outage_nobody_floods() -> None:
    """Beside a tenant that seldom orders, either."""
    simulated = FLEET(cores=8)
    simulated.run(
        lambda _: 28,
        120,
        (40, lambda fleet: fleet.set_cores(0)),
        (70, lambda fleet: fleet.set_cores(8)),
        quiet=0.1,
    )
    assert simulated.fulfilled_a_second(85, 120) >= 0.9 * 28
    assert simulated.refused_of[QUIET] <= 1
