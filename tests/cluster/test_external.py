"""A second release, in its own namespace, on the Postgres and the Temporal of the shared one."""

from collections.abc import Callable
from secrets import token_hex

import pytest

from tests.cluster.conftest import ReleaseWith
from tests.cluster.support import images
from tests.cluster.support.cluster import Namespace
from tests.cluster.support.release import NAME, Release
from tests.cluster.support.steps import Steps

pytestmark = pytest.mark.timeout(600)

_ROLES = """
CREATE ROLE second_owner LOGIN PASSWORD '{owner}';
CREATE ROLE second_fleet LOGIN PASSWORD '{fleet}';
CREATE DATABASE second OWNER second_owner;
"""


def test_on_postgres_and_temporal_of_somebody_else(
    release_with: ReleaseWith, new_namespace: Callable[[str], Namespace], steps: Steps
) -> None:
    namespace = new_namespace("second")
    # Where NetworkPolicies are enforced, the first release must allow the second's namespace.
    peer = "allowFrom[0].namespaceSelector.matchLabels.kubernetes\\.io/metadata\\.name"
    allowed = {f"{of}.{peer}": namespace.name for of in ("postgres", "temporal")}
    release = release_with({**images.values(images.OLD), **allowed})
    with steps.step("second release on external Postgres and Temporal") as step:
        first = release.namespace.name
        passwords = {"owner": token_hex(), "fleet": token_hex()}
        release.psql(_ROLES.format(**passwords))
        namespace.create("v1", "Secret", "first-postgres", stringData=passwords)
        second = Release(namespace)
        second.install(
            {
                **images.values(images.OLD),
                "postgres.enabled": "false",
                "postgres.host": f"{NAME}-postgres.{first}.svc",
                "postgres.database": "second",
                "postgres.user": "second_fleet",
                "postgres.ownerUser": "second_owner",
                "postgres.existingSecret": "first-postgres",
                "postgres.secretKeys.owner": "owner",
                "postgres.secretKeys.fleet": "fleet",
                "postgres.sslMode": "disable",
                "temporal.enabled": "false",
                "temporal.address": f"{NAME}-temporal.{first}.svc:7233",
                "temporal.namespace.name": "second",
            }
        )
        log = second.test()
        assert "fulfilled" in log, log
        rows = release.psql("SELECT id, state FROM orders", database="second")
        assert [state for _, state in rows] == ["fulfilled"], rows
        step.saw(orders=rows, pods=sorted({_kind(pod) for pod in namespace.pods()}))
        second.uninstall()
        claims = namespace.get("persistentvolumeclaims")
        assert not claims, claims


def _kind(pod: str) -> str:
    return "-".join(part for part in pod.split("-") if part.isalpha())
