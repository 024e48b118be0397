"""Another version and back, with orders that never stop coming."""

import pytest

from tests.cluster.conftest import ReleaseWith
from tests.cluster.support import images
from tests.cluster.support.flows import flow
from tests.cluster.support.release import Release
from tests.cluster.support.shop import balanced
from tests.cluster.support.steps import Steps

pytestmark = pytest.mark.timeout(600)

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
        digests = _image_ids(release)
        with flow(release, "upgrade", images.OLD) as orders:
            release.upgrade(images.values(images.NEW))
            release.until_all_run(images.NEW)
        assert not digests & _image_ids(release), "the new image is the old one"
        orders.show(step)
        orders.check()
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
        with flow(release, "rollback", images.OLD) as orders:
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
        async with release.books() as pool:
            await balanced(pool, orders.accepted)


def _image_ids(release: Release) -> set[str]:
    """Return what the services' containers really run."""
    return {
        pod["status"]["containerStatuses"][0]["imageID"]
        for component in ("api", "order-worker", "shipping-worker")
        for pod in release.namespace.get("pods", component=component)
    }
