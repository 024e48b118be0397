"""Values for production: a node is drained, dies, is cut off and comes back."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

import pytest

from tests.cluster.nodes.conftest import RATE, STUCK_SECONDS
from tests.cluster.nodes.support.aftermath import aftermath
from tests.cluster.nodes.support.nodes import PAIRS, Node, lose_power
from tests.cluster.support import images
from tests.cluster.support.flows import Load, flow
from tests.cluster.support.release import Release
from tests.cluster.support.shop import balanced, states
from tests.cluster.support.steps import Steps

pytestmark = pytest.mark.timeout(700)

# NotReady comes after some 43 s; the pods that Kubernetes then makes elsewhere come within.
_DEAD_SECONDS: Final = 90
_CUT_SECONDS: Final = 60
_HEALED_SECONDS: Final = 60
_CALM_SECONDS: Final = 20
# Orders that are refused as the fleet is busy while a node is drained, at most, and orders accepted
# just before that have no time left.
_BUSY: Final = 0.2
_NO_TIME_LEFT: Final = 0.05
# The goal, and what an order itself takes: 2 s of it are its review. Temporal's survivor takes over
# after 16 to 18 s, its workers poll 1 to 2 s later.
_SILENT_SECONDS: Final = 20 + 2.5
_STUCK: Final = 4


async def test_a_drain_loses_nothing(
    release: Release, second: Node, load: Callable[[float], Load], steps: Steps
) -> None:
    with steps.step("kubectl drain of a node with one pod of each") as step:
        budgets = {budget["metadata"]["name"] for budget in release.namespace.get("pdb")}
        assert budgets == {f"orderfleet-{component}" for component in PAIRS}
        with flow(release, "drain", images.OLD, load(_CALM_SECONDS + 60)) as placed:
            # Admission knows the throughput of a fleet that it has seen at work.
            await asyncio.sleep(_CALM_SECONDS)
            began = time.time()
            await asyncio.to_thread(second.drain)
            step.saw(drained_in=f"{time.time() - began:.0f} s")
            await asyncio.sleep(15)
        seen = aftermath(placed, began)
        step.saw(**seen.line)
        placed.check("fulfilled", "timed_out")
        # Both nodes are one machine here, whose two cores start four pods meanwhile: for 15 s an
        # order takes 5 to 11 s.
        assert seen.refused.keys() <= {"busy"}
        assert seen.refused.get("busy", 0) <= _BUSY * RATE * 60
        assert seen.unfulfilled.get("timed_out", 0) <= _NO_TIME_LEFT * RATE * 60
        async with release.books() as pool:
            await balanced(pool, placed.accepted)


async def test_power_lost(
    release: Release, second: Node, load: Callable[[float], Load], steps: Steps
) -> None:
    with steps.step("power lost of a node with one pod of each") as step:
        with flow(release, "power", images.OLD, load(_DEAD_SECONDS)) as placed:
            died = await lose_power(second, step)
            await asyncio.sleep(died + _DEAD_SECONDS - time.time())
        seen = aftermath(placed, died)
        step.saw(**seen.line)
        async with release.books() as pool:
            await balanced(pool, placed.accepted)
        assert seen.silent <= _SILENT_SECONDS


async def test_cut_off_and_back(
    release: Release, second: Node, load: Callable[[float], Load], steps: Steps
) -> None:
    with steps.step(f"a node with one pod of each cut off for {_CUT_SECONDS} s") as step:
        with flow(release, "cut", images.OLD, load(60)) as placed:
            stuck = await _stuck(release)
            cut = time.time()
            await asyncio.to_thread(second.cut)
            await asyncio.sleep(cut + _CUT_SECONDS - time.time())
            healed = time.time()
            await asyncio.to_thread(second.heal)
            step.saw(ready_after_it=f"{await asyncio.to_thread(second.until_ready, 'True'):.0f} s")
            await asyncio.sleep(
                healed + max(_HEALED_SECONDS, STUCK_SECONDS - _CUT_SECONDS + 10) - time.time()
            )
        seen = aftermath(placed, cut)
        step.saw(**seen.line)
        async with release.books() as pool:
            books = await balanced(pool, [*placed.accepted, *stuck])
            step.saw(stuck=await states(pool, stuck), charged_twice=len(books.charged_twice))
            rows = await pool.fetch(
                "SELECT operation, max(count), count(*) FILTER (WHERE count > 1) AS repeated"
                " FROM gateway.calls GROUP BY operation"
            )
            step.saw(**{f"{row[0]}_calls_repeated": row[2] for row in rows})


async def _stuck(release: Release) -> list[str]:
    """Place orders whose first call of a gateway has its effect only after the cut has healed."""
    kinds = ["stuck-charge", "stuck-dispatch"] * _STUCK
    async with release.shop() as shop:
        placed = [await shop.place(kind) for kind in kinds]
    # In the middle of their calls.
    await asyncio.sleep(3)
    return placed
