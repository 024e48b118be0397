"""Load on one task queue scales that queue's worker, and no other; without load it comes down."""

import asyncio
import time
from typing import Final

import pytest

from tests.cluster.scaling.conftest import (
    LEAST,
    MODE,
    MOST,
    POD_SLOTS,
    RATE,
    WINDOW_SECONDS,
    WORKERS,
)
from tests.cluster.scaling.support import courses
from tests.cluster.scaling.support.doctor import doctor
from tests.cluster.scaling.support.histories import check_no_lost_work
from tests.cluster.scaling.support.pods import births
from tests.cluster.scaling.support.results import Results
from tests.cluster.scaling.support.watching import Trigger, Watch, lacking
from tests.cluster.support import images
from tests.cluster.support.commands import wait_until
from tests.cluster.support.flows import Flow, Load, flow
from tests.cluster.support.release import Release
from tests.cluster.support.shop import balanced
from tests.cluster.support.steps import Steps

pytestmark = pytest.mark.timeout(600)

_BURST_SECONDS: Final = 40
# During the slow charge: 2 s of review, then the gateway has the money, but has not answered.
_CANCEL_AFTER: Final = 3.4
_SIGNALS_SECONDS: Final = 60
# From the step in load to the new pod that polls.
_LIMIT_SECONDS: Final = 45


def test_the_pipeline_is_well(release: Release, watch: Watch, steps: Steps) -> None:
    with steps.step("orderfleet doctor --kubernetes") as step:
        # Before the first scrape there is no data, which is no zero.
        wait_until(
            "all signals",
            lambda: lacking(release.namespace, MODE),
            lambda found: not found,
            _SIGNALS_SECONDS,
        )
        said = doctor(release)
        step.saw(checks=said.count("OK"))


async def test_a_slow_carrier_scales_the_shipping_worker_alone(
    release: Release, watch: Watch, asked: dict[str, Trigger], steps: Steps, results: Results
) -> None:
    await asyncio.to_thread(watch.until_least, LEAST, *WORKERS)
    with steps.step("slow carrier, 2 orders a second") as step:
        load = Load(RATE, _BURST_SECONDS, refusable=True)
        began, placed = await _burst(release, "slow-carrier-a", load)
        placed.show(step)
        placed.check()
        looks = watch.since(began - 5)
        assert courses.unasked(watch, looks, "order-worker", POD_SLOTS) == []
        assert courses.most(looks, "shipping-worker") == MOST
        parts = _path(release, watch, asked, "shipping-worker", began)
        step.saw(**parts)
        marks = {"load": began}
        results.add("A slow carrier scales the shipping worker alone", step.seen, looks, marks)
        async with release.books() as pool:
            await balanced(pool, placed.accepted)


async def test_a_slow_payment_gateway_scales_the_order_worker_alone(
    release: Release, watch: Watch, asked: dict[str, Trigger], steps: Steps, results: Results
) -> None:
    with steps.step("slow payment gateway, 2 orders a second, cancelled after the charge") as step:
        await asyncio.to_thread(watch.until_least, LEAST, "order-worker")
        load = Load(RATE, _BURST_SECONDS, cancel_after=_CANCEL_AFTER, refusable=True)
        began, placed = await _burst(release, "slow-charge-b", load)
        placed.show(step)
        placed.check("cancelled")
        looks = watch.since(began - 5)
        # It may still come down from the burst before.
        assert courses.rises(looks, "shipping-worker") == []
        assert courses.most(looks, "order-worker") == MOST
        step.saw(**_path(release, watch, asked, "order-worker", began))
        title = "A slow payment gateway scales the order worker alone"
        results.add(title, step.seen, looks, {"load": began})
        async with release.books() as pool:
            books = await balanced(pool, placed.accepted)
            assert float(books.refunded) > 0


async def test_without_load_both_come_down(
    release: Release, watch: Watch, asked: dict[str, Trigger], steps: Steps, results: Results
) -> None:
    # By itself this test has no burst before it.
    if any(watch.look().replicas[service] == LEAST for service in WORKERS):
        _, burst = await _burst(release, "slow-both-c", Load(RATE, 20, refusable=True))
        burst.check()
    with steps.step("down to the least, under 1 order a second") as step:
        began = time.time()
        with flow(release, "plain-c", images.OLD, Load(1, 30)) as placed:
            await asyncio.to_thread(watch.until_least, LEAST, *WORKERS)
        placed.show(step)
        placed.check()
        await check_no_lost_work(release, placed.accepted, step)
        # From the beginning, as the shipping worker comes down while the order worker goes up.
        looks = watch.looks
        for service in WORKERS:
            falls = courses.falls(looks, service)
            assert falls
            for fall in falls:
                idle = courses.idle_before(looks, fall, service, asked)
                assert idle > WINDOW_SECONDS - courses.ROUND_SECONDS, f"{service} {fall}"
                step.saw(**{f"{service} at {fall.after} after": f"{idle:.0f} idle seconds"})
        seen = watch.since(began - _BURST_SECONDS)
        results.add("Without load both come down", step.seen, seen, {"load ended": began})
        async with release.books() as pool:
            await balanced(pool, placed.accepted)


async def _burst(release: Release, name: str, load: Load) -> tuple[float, Flow]:
    with flow(release, name, images.OLD, load) as placed:
        pass
    return min(order["sent"] for order in placed.report["orders"]), placed


def _path(
    release: Release, watch: Watch, asked: dict[str, Trigger], service: str, began: float
) -> dict[str, str]:
    """Return the parts of the time from the step in load to the first new pod that polls."""
    looks = watch.since(began)
    signal = next(one for one in looks if courses.needed([one], service, asked) > LEAST)
    rise = courses.rises(looks, service)[0]
    first = births(release.namespace, service, began)[0]
    polling = first.polling - began
    assert polling <= _LIMIT_SECONDS
    return {
        "the signal shows after": f"{signal.at - began:.0f} s",
        "replicas raised after": f"{rise.at - began:.0f} s",
        "first new pod starts after": f"{first.initialized - began:.0f} s",
        "first new pod polls after": f"{polling:.0f} s",
        "and is ready after": f"{first.ready - began:.0f} s",
    }
