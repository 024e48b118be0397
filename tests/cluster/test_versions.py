"""Good builds of all services, by `helm upgrade` alone, with orders that never stop coming.

The new one has more commands in both workflows; then back to the build before, on the schema of
the release after it. Bad builds: test_builds.py.
"""

import pytest

from tests.cluster.conftest import ReleaseWith
from tests.cluster.support import images
from tests.cluster.support.flows import Flow, Load, flow
from tests.cluster.support.gates import builds_of, failed_tasks, gate_of, order_deployment
from tests.cluster.support.release import Release
from tests.cluster.support.shop import balanced
from tests.cluster.support.steps import Step, Steps

pytestmark = pytest.mark.timeout(600)

# While the new pods start, each a second of a core, two cores may be busy for some seconds.
_LOAD = Load(refusable=True)

# What a release after this one might do: it adds, so the release before it runs on.
_NEXT_MIGRATION = """
SET ROLE orderfleet_owner;
BEGIN;
ALTER TABLE orders ADD COLUMN of_the_next_release text;
INSERT INTO schema_migrations (number, name)
    SELECT max(number) + 1, 'of_the_next_release.sql' FROM schema_migrations;
COMMIT;
"""


async def test_upgrade(release: Release, steps: Steps) -> None:
    with steps.step("helm upgrade to another image, under 2 orders a second") as step:
        digests, before = _image_ids(release), await order_deployment(release)
        with flow(release, "upgrade", images.OLD, _LOAD) as orders:
            release.upgrade(images.values(images.NEW))
            release.until_all_run(images.NEW)
        assert not digests & _image_ids(release), "the new image is the old one"
        orders.show(step)
        orders.check()
        after = await _promoted(release, images.NEW, orders, step)
        assert before.current
        assert before.current != after
        async with release.books() as pool:
            await balanced(pool, orders.accepted)


async def test_rollback_on_a_newer_schema(release_with: ReleaseWith, steps: Steps) -> None:
    old, new = (images.values(tag) for tag in (images.OLD, images.NEW))
    release = release_with(new)
    if old not in release.revisions:
        release_with(old)
        release_with(new)
    with steps.step("helm rollback on a newer schema, under 2 orders a second") as step:
        release.psql(_NEXT_MIGRATION)
        with flow(release, "rollback", images.OLD, _LOAD) as orders:
            release.rollback(release.revisions.index(old) + 1)
            release.until_all_run(images.OLD)
        (migrated,) = release.namespace.get("jobs", component="migrate")
        assert migrated["status"]["succeeded"] == 1
        (pod,) = release.namespace.pods("migrate")
        said = release.namespace.kubectl("logs", pod)
        ((number,),) = release.psql("SELECT max(number) FROM schema_migrations")
        assert f'"version":{number}' in said.replace(" ", ""), said
        step.saw(schema=number)
        orders.show(step)
        orders.check()
        await _promoted(release, images.OLD, orders, step)
        async with release.books() as pool:
            await balanced(pool, orders.accepted)


async def _promoted(release: Release, tag: str, orders: Flow, step: Step) -> str:
    """Check that a build passed its gates and no order paid for it; return its id."""
    orders.check_refusals()
    gates = [gate_of(release, tag, worker) for worker in ("order-worker", "shipping-worker")]
    assert all(gate.passed for gate in gates), gates
    after = await order_deployment(release)
    assert after.current
    assert after.ramping is None
    builds = await builds_of(release, orders.accepted)
    # The build before, and the new one.
    assert len(set(builds.values())) == 2
    assert after.current in builds.values()
    step.saw(
        promoted_after=[f"{gate.seconds:.0f} s" for gate in gates],
        on_the_new_build=list(builds.values()).count(after.current),
        failed_tasks=await failed_tasks(release, builds),
    )
    assert not step.seen["failed_tasks"]
    return after.current


def _image_ids(release: Release) -> set[str]:
    """Return what the services' containers really run."""
    return {
        pod["status"]["containerStatuses"][0]["imageID"]
        for component in ("api", "order-worker", "shipping-worker")
        for pod in release.namespace.get("pods", component=component)
    }
