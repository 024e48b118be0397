"""A second release, in a namespace of its own, on the Postgres and the Temporal of the first."""

from collections.abc import Callable
from secrets import token_hex

import pytest

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
    release: Release, new_namespace: Callable[[str], Namespace], steps: Steps
) -> None:
    with steps.step("second release on external Postgres and Temporal") as step:
        namespace = new_namespace("second")
        first = release.namespace.name
        passwords = {"owner": token_hex(), "fleet": token_hex()}
        release.psql(_ROLES.format(**passwords))
        namespace.create("v1", "Secret", "first-postgres", stringData=passwords)
        # Who enforces NetworkPolicies needs the first release to let the second in.
        peer = "allowFrom[0].namespaceSelector.matchLabels.kubernetes\\.io/metadata\\.name"
        let_in = {f"{of}.{peer}": namespace.name for of in ("postgres", "temporal")}
        release.upgrade({**images.values(images.OLD), **let_in})
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
        said = second.test()
        assert "fulfilled" in said, said
        rows = release.psql("SELECT id, state FROM orders", database="second")
        assert [state for _, state in rows] == ["fulfilled"], rows
        step.saw(orders=rows, pods=sorted({_kind(pod) for pod in namespace.pods()}))
        second.uninstall()
        claims = namespace.get("persistentvolumeclaims")
        assert not claims, claims


def _kind(pod: str) -> str:
    return "-".join(part for part in pod.split("-") if part.isalpha())
