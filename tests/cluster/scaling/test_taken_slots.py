"""With all slots taken, the backlog is the signal that scales."""

import asyncio
from typing import Any, Final

import pytest

from tests.cluster.scaling.conftest import LEAST, POD_SLOTS
from tests.cluster.scaling.support import courses
from tests.cluster.scaling.support.results import Results
from tests.cluster.scaling.support.watching import Watch
from tests.cluster.support import images
from tests.cluster.support.flows import Load, flow
from tests.cluster.support.release import Release
from tests.cluster.support.shop import balanced
from tests.cluster.support.steps import Steps

pytestmark = pytest.mark.timeout(600)

# 1.25 orders a second x 1.8 s = 2.25 slots, where 2 pods have 2 and 3 pods have 3. At a target of
# 100 %, slots alone never ask for more pods than there are.
_RATE: Final = 1.25
_SECONDS: Final = 45
_TIGHT: Final[dict[str, Any]] = {
    "shippingWorker.activitySlots": 1,
    "shippingWorker.autoscaling.slotTargetPercent": 100,
    "shippingWorker.autoscaling.backlogTarget": 1,
}


async def test_a_backlog_scales_where_slots_cannot(
    release: Release,
    values: dict[str, Any],
    watch: Watch,
    steps: Steps,
    results: Results,
) -> None:
    await asyncio.to_thread(watch.until_least, LEAST, "order-worker", "shipping-worker")
    with steps.step("one slot a pod, all taken, 1.25 orders a second") as step:
        release.upgrade(values | _TIGHT)
        began = watch.looks[-1].at
        with flow(
            release, "slow-carrier-g", images.OLD, Load(_RATE, _SECONDS, refusable=True)
        ) as placed:
            pass
        placed.show(step)
        # There is no headroom on purpose: an order may be refused, and if it waits too long, it
        # still ends in time.
        placed.check("fulfilled", "timed_out")
        looks = watch.since(began)
        assert courses.unasked(watch, looks, "order-worker", POD_SLOTS) == []
        assert courses.most(looks, "shipping-worker") > LEAST
        most = max(look.values["shipping-worker backlog"] or 0 for look in looks)
        assert most > 0
        step.saw(most_waiting=int(most), replicas=courses.most(looks, "shipping-worker"))
        results.add("A backlog scales where slots cannot", step.seen, looks)
        async with release.books() as pool:
            await balanced(pool, placed.accepted)
