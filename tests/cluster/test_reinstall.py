"""`helm uninstall`, and an installation on what it left."""

import pytest

from tests.cluster.support import images
from tests.cluster.support.commands import wait_until
from tests.cluster.support.release import NAME, Release
from tests.cluster.support.shop import balanced, rows_of
from tests.cluster.support.steps import Steps

pytestmark = pytest.mark.timeout(600)

# What stays, by NOTES.txt.
_KEPT = {
    f"persistentvolumeclaim/data-{NAME}-postgres-0",
    f"secret/{NAME}-postgres",
    f"secret/{NAME}-api-keys",
    f"secret/{NAME}-payload-keys",
}
# What every namespace has.
_OF_KUBERNETES = {"configmap/kube-root-ca.crt", "serviceaccount/default"}


async def test_uninstall_and_install_again(release: Release, steps: Steps) -> None:
    with steps.step("uninstall, install on the kept volume") as step:
        async with release.shop() as shop, release.books() as pool:
            await shop.ended(await shop.place("kept"))
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
        log = release.test()
        assert "fulfilled" in log, log
        assert release.key == key
        async with release.books() as pool:
            lost = before - await rows_of(pool)
            assert not lost
            await balanced(pool, [])
        step.saw(events_kept=len(before))
