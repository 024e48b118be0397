"""Bad builds of the order worker, by `helm upgrade` alone, under 3 orders a second.

The good ones: test_versions.py.
"""

from math import sqrt
from typing import Final

import pytest

from tests.cluster.support import images
from tests.cluster.support.builds import CRASHES, DECLINES
from tests.cluster.support.flows import Load, flow
from tests.cluster.support.gates import (
    Gate,
    builds_of,
    failed_tasks,
    gate_of,
    order_deployment,
    ready_order_workers,
    until_order_workers_are,
)
from tests.cluster.support.release import Release
from tests.cluster.support.shop import balanced
from tests.cluster.support.steps import Steps

pytestmark = pytest.mark.timeout(600)

_LOAD: Final = Load(rate=3)
# The share of new orders that a new build may get: 10 %, and three times as much as 3 orders a
# second bring few orders.
_SHARE: Final = 0.3
# helm waits so long for pods that never become ready; the gates took 17 and 37 s.
_HELM_SECONDS: Final = 75
# From the first pod's start, of which Python takes some seconds before the worker polls.
_STOPPED_SECONDS: Final = 65.0
# The share of all orders that a bad build may touch beyond its share of the ramp.
_BEYOND: Final = 0.01


async def test_bad_builds(release: Release, steps: Steps) -> None:
    with steps.step("build and load an order worker that crashes, one that declines"):
        for build in (CRASHES, DECLINES):
            build.make()
    good, before = len(release.revisions), await order_deployment(release)
    assert before.current is not None
    gates: list[Gate] = []
    with steps.step("helm upgrade to each, then helm rollback, under 3 orders a second") as step:
        with flow(release, "bad-builds", images.OLD, _LOAD) as orders:
            for build in (CRASHES, DECLINES):
                with pytest.raises(AssertionError, match="order-gate"):
                    release.upgrade(build.values, seconds=_HELM_SECONDS)
                gates.append(gate_of(release, build.tag))
                after = await order_deployment(release)
                # Without a hand: all new orders to the old build, and none of its pods gone.
                assert (after.current, after.ramping) == (before.current, None)
                assert ready_order_workers(release, images.OLD) == 2
                assert ready_order_workers(release, build.tag) == 0
            release.rollback(good)
            until_order_workers_are(release, images.OLD)
        # Helm deletes what the last upgrade made; after two that failed, Kubernetes has to delete
        # the first one's gate, an hour later.
        release.namespace.kubectl("delete", "job", gates[0].name)
        orders.show(step)
        hurt = sorted(orders.hurt)
        placed = await builds_of(release, orders.accepted)
        # Whatever a bad build spoils, it began: the others ended as ever.
        spoilt_others = [order for order in hurt if placed[order] == before.current]
        old = [order for order, build_id in placed.items() if build_id == before.current]
        step.saw(
            gates=[gate.words for gate in gates],
            stopped_after=[f"{gate.seconds:.0f} s" for gate in gates],
            hurt=f"{len(hurt)} of {len(orders.accepted)}",
            failed_tasks_on_the_old_build=await failed_tasks(release, old),
        )
        assert not any(gate.passed for gate in gates)
        assert all(gate.seconds < _STOPPED_SECONDS for gate in gates), gates
        assert not orders.open, f"never ended: {orders.open}"
        ramped = _LOAD.rate * sum(gate.seconds for gate in gates)
        most = ramped * _SHARE + 3 * sqrt(ramped * _SHARE) + _BEYOND * len(orders.accepted)
        assert len(spoilt_others) <= _BEYOND * len(orders.accepted), spoilt_others
        assert len(hurt) <= most, hurt
        assert not step.seen["failed_tasks_on_the_old_build"]
        assert not orders.report["lost"], orders.report["lost"][:10]
        async with release.books() as pool:
            await balanced(pool, orders.accepted)
