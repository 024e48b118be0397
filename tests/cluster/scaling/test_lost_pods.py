"""Pods go away under load: no order pays for it."""

import asyncio
from typing import Final

import pytest

from tests.cluster.scaling.conftest import MOST, RATE, WORKERS
from tests.cluster.scaling.support.histories import check_no_lost_work
from tests.cluster.scaling.support.pods import End, delete_and_look
from tests.cluster.scaling.support.results import Results
from tests.cluster.scaling.support.watching import Watch
from tests.cluster.support import images
from tests.cluster.support.commands import wait_until
from tests.cluster.support.flows import Load, flow
from tests.cluster.support.release import NAME, Release
from tests.cluster.support.shop import balanced
from tests.cluster.support.steps import Steps

pytestmark = pytest.mark.timeout(600)

_SECONDS: Final = 40
_UP_SECONDS: Final = 60
_BUSY_SECONDS: Final = 30
_BUSY: Final = (
    'temporal_worker_task_slots_used{{namespace="{0}", pod=~"{1}-{2}-.+", '
    'worker_type="ActivityWorker"}} > 0'
)


async def test_busy_pods_deleted(
    release: Release, watch: Watch, steps: Steps, results: Results
) -> None:
    with steps.step("busy pods deleted, under 2 orders a second") as step:
        load = Load(RATE, _SECONDS, refusable=True)
        began = watch.looks[-1].at
        marks: dict[str, float] = {}
        with flow(release, "slow-both-e", images.OLD, load) as placed:
            await asyncio.to_thread(
                watch.until,
                "all pods of the shipping worker",
                lambda look: look.ready["shipping-worker"] == MOST,
                _UP_SECONDS,
            )
            for service in WORKERS:
                marks[f"{service} deleted"] = watch.looks[-1].at
                end = await asyncio.to_thread(_delete_a_busy_one, release, watch, service)
                assert end.exit_code == 0, end
                assert end.seconds < end.grace, end
                step.saw(**{f"{service} ended in": f"{end.seconds:.1f} of {end.grace:.0f} s"})
        placed.show(step)
        placed.check()
        async with release.books() as pool:
            await balanced(pool, placed.accepted)
        await check_no_lost_work(release, placed.accepted, step)
        results.add("Busy pods deleted under load", step.seen, watch.since(began), marks)


def _delete_a_busy_one(release: Release, watch: Watch, service: str) -> End:
    query = _BUSY.format(release.namespace.name, NAME, service)
    rows = wait_until(f"a busy {service}", lambda: watch.rows(query), bool, _BUSY_SECONDS)
    assert rows
    return delete_and_look(release.namespace, rows[0]["metric"]["pod"])
