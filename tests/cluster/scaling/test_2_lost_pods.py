"""Pods go away under load: no order pays for it."""

import asyncio
from typing import Final

import pytest
from temporalio.client import Client

from tests.cluster.scaling.conftest import MOST, RATE, WORKERS
from tests.cluster.scaling.support.histories import timeouts
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

_SECONDS: Final = 55
_UP_SECONDS: Final = 60
_BUSY_SECONDS: Final = 30
_LOST: Final = ("activity timed out", "activity waited for a timeout", "workflow timed out")
_BUSY: Final = (
    'temporal_worker_task_slots_used{{namespace="{0}", pod=~"{1}-{2}-.+", '
    'worker_type="ActivityWorker"}} > 0'
)


async def test_busy_pods_deleted(
    release: Release, watch: Watch, steps: Steps, results: Results
) -> None:
    with steps.step("scale-in and busy pods deleted, under 2 orders a second") as step:
        load = Load(RATE, _SECONDS)
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
        orders = [*placed.accepted, *_of_the_scale_in(release)]
        async with release.books() as pool:
            await balanced(pool, orders)
        async with release.namespace.forwarded(f"service/{NAME}-temporal", 7233) as port:
            client = await Client.connect(f"127.0.0.1:{port}")
            found = await timeouts(client, orders)
        step.saw(**{name: found[name] for name in ("workflows", *_LOST)} | found)
        assert found["workflows"] >= 2 * len(orders)
        assert not any(found[lost] for lost in _LOST), found
        results.add("Busy pods deleted under load", step.seen, watch.since(began), marks)


def _of_the_scale_in(release: Release) -> list[str]:
    """Return the orders that came while the fleet was scaled in."""
    rows = release.psql("SELECT id FROM orders WHERE id LIKE 'plain-c-%'")
    assert rows
    return [order_id for (order_id,) in rows]


def _delete_a_busy_one(release: Release, watch: Watch, service: str) -> End:
    query = _BUSY.format(release.namespace.name, NAME, service)
    rows = wait_until(f"a busy {service}", lambda: watch.rows(query), bool, _BUSY_SECONDS)
    assert rows
    return delete_and_look(release.namespace, rows[0]["metric"]["pod"])
