"""Uninstalled, and installed again on what was left."""

import pytest

from tests.cluster.support import images
from tests.cluster.support.commands import wait_until
from tests.cluster.support.release import NAME, Release
from tests.cluster.support.shop import balanced, rows_of
from tests.cluster.support.steps import Steps

pytestmark = pytest.mark.timeout(600)

# What NOTES.txt says stays.
_KEPT = {
    f"persistentvolumeclaim/data-{NAME}-postgres-0",
    f"secret/{NAME}-postgres",
    f"secret/{NAME}-api-keys",
}
# What a namespace has of itself.
_OF_KUBERNETES = {"configmap/kube-root-ca.crt", "serviceaccount/default"}


async def test_uninstalled_and_installed_again(release: Release, steps: Steps) -> None:
    with steps.step("uninstall, install on the kept volume") as step:
        async with release.books() as pool:
            before, key = await rows_of(pool), release.key
        release.uninstall()
        kinds = release.namespace.kubectl(
            "api-resources", "--namespaced", "--verbs=list,delete", "--output=name"
        )
        wanted = ",".join(kind for kind in kinds.split() if not kind.startswith("events"))
        left = wait_until(
            "nothing but what NOTES.txt names",
            lambda: (
                set(release.namespace.kubectl("get", wanted, "--output=name").split())
                - _OF_KUBERNETES
            ),
            lambda found: found == _KEPT,
            60,
        )
        step.saw(left=len(left))
        release.install(images.values(images.OLD))
        said = release.test()
        assert "fulfilled" in said, said
        assert release.key == key
        async with release.books() as pool:
            lost = before - await rows_of(pool)
            assert not lost
            await balanced(pool, [])
        step.saw(events_kept=len(before))
    # What comes next is a fleet of its own, and two of them ask for more than two cores.
    release.uninstall()
