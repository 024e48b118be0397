"""A step to three times what two workers can do: refusals bridge the time until new pods poll."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import pytest

from tests.cluster.scaling.conftest import BEHAVIOR, LEAST, SLOWER_SECONDS
from tests.cluster.scaling.support import courses
from tests.cluster.scaling.support.pods import births
from tests.cluster.scaling.support.results import Results
from tests.cluster.scaling.support.watching import Watch
from tests.cluster.support import images
from tests.cluster.support.cluster import Json
from tests.cluster.support.flows import Load, flow
from tests.cluster.support.release import Release
from tests.cluster.support.shop import balanced
from tests.cluster.support.steps import Steps
from tests.e2e.support.orders import DEADLINE

pytestmark = pytest.mark.timeout(600)

# One charge at a time in a pod: two pods do an order a second, and need no CPU to be full.
_CAPACITY: Final = LEAST / SLOWER_SECONDS
_RATE: Final = 3 * _CAPACITY
# These 3 orders a second are 6 slots in use.
_MOST: Final = 8
# Two at a time: pods that start take the cores from those that work.
_BEHAVIOR: Final = BEHAVIOR | {
    "scaleUp": {
        "stabilizationWindowSeconds": 0,
        "policies": [{"type": "Pods", "value": 2, "periodSeconds": 15}],
    }
}
_SECONDS: Final = 100
# The end of the load, in which little is refused; the autoscaler takes three rounds. Two cores with
# all these pods do 3 orders a second, just about.
_QUIET_SECONDS: Final = 25
_FEW: Final = 0.2
# A pod of the API learns only from the first orders that wait that the fleet is a small one: in the
# simulation of such a step 0 or 1 order in 260 is late.
_LATE: Final = 2
_TIGHT: Final[dict[str, Any]] = {
    "orderWorker.activitySlots": 1,
    "orderWorker.autoscaling.slotTargetPercent": 50,
    "orderWorker.autoscaling.maxReplicas": _MOST,
    "orderWorker.autoscaling.behavior": _BEHAVIOR,
    # The cores are for the order worker.
    "shippingWorker.autoscaling.maxReplicas": LEAST,
}


async def test_refusals_stop_when_new_pods_poll(
    release: Release, values: dict[str, Any], watch: Watch, steps: Steps, results: Results
) -> None:
    await asyncio.to_thread(watch.until_least, LEAST, "order-worker", "shipping-worker")
    with steps.step(f"{_RATE:g} orders a second, of which two workers do {_CAPACITY:g}") as step:
        release.upgrade(values | _TIGHT)
        load = Load(_RATE, _SECONDS, refusable=True)
        with flow(release, "slower-charge-h", images.OLD, load) as placed:
            pass
        placed.show(step)
        orders, refusals = placed.report["orders"], placed.refusals
        began = min(order["sent"] for order in orders)
        ended = began + placed.report["ran"]
        refused = sorted(refusal["sent"] for refusal in refusals)
        assert refused
        polling = births(release.namespace, "order-worker", began)[0].polling
        late = [order for order in orders if order["state"] != "fulfilled"]
        looks = watch.since(began - 5)
        step.saw(
            first_refusal_after=f"{refused[0] - began:.0f} s",
            first_new_pod_polls_after=f"{polling - began:.0f} s",
            last_refusal_after=f"{refused[-1] - began:.0f} s",
            refused_in_the_last_seconds=_since(refusals, ended - _QUIET_SECONDS),
            late=len(late),
            replicas=courses.most(looks, "order-worker"),
        )
        marks = {"load": began, "first new pod polls": polling}
        title = "Too many orders are refused until new pods poll"
        results.add(title, step.seen, looks, marks, values="used backlog refused")
        assert not placed.report["lost"]
        assert {refusal["reason"] for refusal in refusals} == {"busy"}
        assert refused[0] < polling
        assert _since(refusals, ended - _QUIET_SECONDS) <= _FEW * _RATE * _QUIET_SECONDS
        assert len(late) <= _LATE
        assert all(order["took"] <= DEADLINE for order in orders)
        async with release.books() as pool:
            await balanced(pool, placed.accepted)


def _since(sent: Sequence[Json], begin: float) -> int:
    """Return how many were sent since then."""
    return sum(each["sent"] >= begin for each in sent)
