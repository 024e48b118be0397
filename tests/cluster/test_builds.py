"""A bad build of the order worker, by `helm upgrade` alone, under 3 orders a second.

The good ones: test_versions.py.
"""

from math import sqrt
from typing import Final

import pytest

from tests.cluster.support import images
from tests.cluster.support.builds import CRASHES
from tests.cluster.support.flows import Load, flow
from tests.cluster.support.gates import (
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

# Refusable: two cores start pods that crash, again and again, beside it.
_LOAD: Final = Load(rate=3, refusable=True)
# The share of new orders that a new build may get: 10 %, and three times as much as 3 orders a
# second bring few orders.
_SHARE: Final = 0.3
# helm waits so long for pods that never become ready; its gate took 17 to 29 s.
_HELM_SECONDS: Final = 75
# From the first pod's start, of which Python takes some seconds before the worker polls.
_STOPPED_SECONDS: Final = 65.0
# The share of all orders that a bad build may touch beyond its share of the ramp.
_BEYOND: Final = 0.01


async def test_a_build_that_crashes(release: Release, steps: Steps) -> None:
    with steps.step("build and load an order worker that crashes"):
        CRASHES.make()
    good, before = len(release.revisions), await order_deployment(release)
    assert before.current is not None
    with steps.step("helm upgrade to it, and helm rollback, under 3 orders a second") as step:
        with flow(release, "bad-build", images.OLD, _LOAD) as orders:
            with pytest.raises(AssertionError, match="order-gate"):
                release.upgrade(CRASHES.values, seconds=_HELM_SECONDS)
            gate = gate_of(release, CRASHES.tag)
            after = await order_deployment(release)
            # Without a hand: all new orders to the old build, and none of its pods gone.
            assert (after.current, after.ramping) == (before.current, None)
            assert ready_order_workers(release, images.OLD) == 2
            assert ready_order_workers(release, CRASHES.tag) == 0
            release.rollback(good)
            until_order_workers_are(release, images.OLD)
        orders.show(step)
        hurt = sorted(orders.hurt)
        placed = await builds_of(release, orders.accepted)
        # Whatever a bad build spoils, it began: the others ended as ever.
        spoilt_others = [order for order in hurt if placed[order] == before.current]
        old = [order for order, build_id in placed.items() if build_id == before.current]
        step.saw(
            gate=gate.words,
            stopped_after=f"{gate.seconds:.0f} s",
            hurt=f"{len(hurt)} of {len(orders.accepted)}",
            failed_tasks_on_the_old_build=await failed_tasks(release, old),
        )
        assert not gate.passed
        assert gate.seconds < _STOPPED_SECONDS, gate
        assert not orders.open, f"never ended: {orders.open}"
        ramped = _LOAD.rate * gate.seconds
        most = ramped * _SHARE + 3 * sqrt(ramped * _SHARE) + _BEYOND * len(orders.accepted)
        assert len(spoilt_others) <= _BEYOND * len(orders.accepted), spoilt_others
        assert len(hurt) <= most, hurt
        assert not step.seen["failed_tasks_on_the_old_build"]
        assert not orders.report["lost"], orders.report["lost"][:10]
        orders.check_refusals()
        async with release.books() as pool:
            await balanced(pool, orders.accepted)
