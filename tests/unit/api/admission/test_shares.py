"""A tenant beside another's flood, before a simulated fleet that works on all tasks by turns."""

from functools import partial

import pytest

from tests.unit.api.admission.simulated_fleet import QUIET, Pod, SimulatedFleet, SimulatedOrder

FLEET = partial(SimulatedFleet, by_priority=False, received=0.2, refusal_work=0.003)


def of_quiet(simulated: SimulatedFleet) -> list[SimulatedOrder]:
    return [order for order in simulated.orders if order.tenant == QUIET]


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
