"""An upgrade from the last commit before decision 25 to this one, under a flow of orders.

By `make test-upgrade`, not by `make test-cluster`: it builds three images more.
"""

from pathlib import Path
from typing import Final

import pytest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from orderfleet.domain.contract import ORDER_TASK_QUEUE
from orderfleet_cli.doctor.check_reconciliation import look_at_reconciliation
from tests.cluster.support import images
from tests.cluster.support.cluster import Namespace
from tests.cluster.support.flows import Load, flow
from tests.cluster.support.release import CHART, Release
from tests.cluster.support.shop import balanced, eventually
from tests.cluster.support.steps import Steps
from tests.images.services import ROOT

pytestmark = pytest.mark.timeout(1800)

# Its backstop is called SettleOrders.
_COMMIT: Final = "5c450643cbe381f31c642f92ac6addc0bf770bd2"
_OLD_SCHEDULE: Final = "settle-orders"
_NEW_SCHEDULE: Final = "reconcile-orders"
# Some runs of the schedule, one of which may meet an old pod.
_RUNS_SECONDS: Final = 60.0


@pytest.fixture
def before(built: None, steps: Steps, tmp_path: Path) -> Path:
    """Build and load that commit's images; return its tree."""
    with steps.step("build and load three images of the release before") as step:
        tree = images.tree_of(_COMMIT, tmp_path)
        images.build(tree, images.BEFORE)
        images.load(images.BEFORE)
        step.saw(commit=_COMMIT[:7])
    return tree


async def test_upgrade_from_the_release_before(
    before: Path, own_namespace: Namespace, steps: Steps
) -> None:
    release = Release(own_namespace)
    with steps.step("helm install of the release before"):
        Release(own_namespace, chart=before / CHART.relative_to(ROOT)).install(
            images.values(images.BEFORE, gate={})
        )
    with steps.step("helm upgrade from the release before, under 2 orders a second") as step:
        async with release.temporal() as client:
            assert await _schedules(client) == {_OLD_SCHEDULE}
        with flow(release, "upgrade", images.OLD, Load(refusable=True)) as orders:
            release.upgrade(images.values(images.OLD))
            release.until_all_run(images.OLD)
        orders.show(step)
        # That chart's Postgres restarts once, as its pod is another one now, beside all other pods.
        orders.check("fulfilled", "timed_out")
        assert len(orders.refusals) <= len(orders.accepted) / 4
        assert len(orders.hurt) <= len(orders.accepted) / 20
        async with release.books() as pool:
            await balanced(pool, orders.accepted)
        # A connection of its own: the upgrade may replace Temporal's pod.
        async with release.temporal() as client:
            assert await _schedules(client) == {_NEW_SCHEDULE}
            _, words = await eventually(
                "a good run of ReconcileOrders",
                lambda: look_at_reconciliation(client, ORDER_TASK_QUEUE),
                lambda seen: seen[0] and seen[1].startswith("runs"),
                _RUNS_SECONDS,
            )
        step.saw(reconciliation=words)


async def _schedules(client: Client) -> set[str]:
    """Return which of the two schedules are there; lists of schedules lag."""
    found = set()
    for schedule_id in (_OLD_SCHEDULE, _NEW_SCHEDULE):
        try:
            await client.get_schedule_handle(schedule_id).describe()
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
        else:
            found.add(schedule_id)
    return found
