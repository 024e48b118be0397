"""An upgrade that changes the passwords and much else; then two Temporal pods form one ring."""

import asyncio
import re
from datetime import timedelta
from secrets import token_hex
from typing import Final

import httpx
import pytest
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client

from tests.cluster.conftest import ReleaseWith
from tests.cluster.support import images
from tests.cluster.support.commands import wait_until
from tests.cluster.support.flows import Load, flow
from tests.cluster.support.release import NAME, Release
from tests.cluster.support.shop import balanced, eventually, states
from tests.cluster.support.steps import Steps

pytestmark = pytest.mark.timeout(600)

_SHARDS = 64
_RETENTION_HOURS = 48
_SERVICES = 4
# A heartbeat comes every 10 s.
_MEMBERS = """
SELECT role, count(*) FROM cluster_membership
WHERE last_heartbeat > now() AT TIME ZONE 'utc' - interval '30 s' GROUP BY role
"""
_GAUGE = re.compile(r"^numshards_gauge(?:\{[^}]*\})? (\S+)$", re.MULTILINE)
_ENDED_SECONDS = 120
_VALUES: Final = {
    **images.values(images.OLD),
    "temporal.replicas": 2,
    "temporal.namespace.retention": f"{_RETENTION_HOURS}h",
    "temporal.extraEnv": [{"name": "LOG_LEVEL", "value": "error"}],
    "global.ipv6": "true",
}


async def test_an_upgrade_with_other_passwords(release: Release, steps: Steps) -> None:
    with steps.step("helm upgrade: passwords, retention, extraEnv, `::`, two Temporals") as step:
        old = release.namespace.secret(f"{NAME}-postgres")
        new = {name: token_hex() for name in old}
        (postgres,) = release.namespace.pods("postgres")
        with flow(release, "rotation", images.OLD, Load(rate=1)) as orders:
            release.change_secret(f"{NAME}-postgres", new)
            # Makes the kubelet sync the Secret at once, not at its next round.
            release.namespace.kubectl("annotate", "pod", postgres, f"test/now={token_hex(4)}")
            release.upgrade(_VALUES)
        orders.show(step)
        assert not _accepted(release, old)
        assert _accepted(release, new) == set(new)
        assert release.namespace.pods("postgres") == [postgres]
        # During the rolling update, the old pods get no new connections.
        async with release.books() as pool:
            await balanced(pool, orders.accepted, seconds=_ENDED_SECONDS)
        log = release.test()
        assert "fulfilled" in log, log
        assert await _retention(release) == _RETENTION_HOURS
        with pytest.raises(AssertionError, match=r"orders\.taskQueue: the running release has"):
            release.upgrade({**_VALUES, "orders.taskQueue": "other"})


async def test_two_pods_are_one_ring(release_with: ReleaseWith, steps: Steps) -> None:
    release = release_with(_VALUES)
    with steps.step("temporal.replicas=2 is one ring; one of the two deleted") as step:
        members = wait_until(
            "two members of each service",
            lambda: release.psql(_MEMBERS, database="temporal"),
            lambda rows: len(rows) == _SERVICES and {count for _, count in rows} == {"2"},
            60,
        )
        # Two rings would each have all shards.
        shards = await eventually(
            "each shard in one pod",
            lambda: _shards(release),
            lambda found: sum(found) == _SHARDS and all(found),
            60,
        )
        step.saw(members=len(members) * 2, shards=shards)
        async with release.shop() as shop:
            placed = await shop.place_apart("ring", 6, 0.2)
            for order_id in placed:
                order = await shop.ended(order_id)
                assert order["state"] == "fulfilled", order
            under_way = await shop.place_apart("ring-lost", 12, 0.25)
            pod = release.namespace.pods("temporal")[0]
            uid = release.uid(pod)
            release.delete_pod(pod)
            during = [await shop.place_when_up("ring-during", seconds=30) for _ in range(4)]
            await asyncio.to_thread(release.until_replaced, "temporal", uid, count=2)
        async with release.books() as pool:
            everyone = [*placed, *under_way, *during]
            await balanced(pool, everyone, seconds=_ENDED_SECONDS)
            step.saw(under_way=await states(pool, under_way), during=await states(pool, during))


def _accepted(release: Release, passwords: dict[str, str]) -> set[str]:
    """Try each role's password over the network, as pods do; return the valid passwords' names."""
    roles = {
        "postgres-password": "postgres",
        "owner-password": "orderfleet_owner",
        "fleet-password": "orderfleet",
        "temporal-password": "temporal",
    }
    right = set()
    for name, password in passwords.items():
        url = f"postgresql://{roles[name]}:{password}@$(hostname -i)/postgres"
        psql = f"psql -XAtc 'SELECT 1' {url} 2>&1 || true"
        command = ("exec", release.postgres_pod, "--container=postgres", "--", "sh", "-c", psql)
        answer = release.namespace.kubectl(*command).strip()
        assert answer == "1" or "password authentication failed" in answer, answer
        if answer == "1":
            right.add(name)
    return right


async def _retention(release: Release) -> float:
    """Return the retention of Temporal's namespace, in hours."""
    async with release.namespace.forwarded(f"service/{NAME}-temporal", 7233) as port:
        client = await Client.connect(f"127.0.0.1:{port}")
        request = DescribeNamespaceRequest(namespace="default")
        namespace = await client.workflow_service.describe_namespace(request)
    return namespace.config.workflow_execution_retention_ttl.ToTimedelta() / timedelta(hours=1)


async def _shards(release: Release) -> list[int]:
    """Return the number of history shards of each pod."""
    shards = []
    for pod in release.namespace.pods("temporal"):
        async with (
            release.namespace.forwarded(f"pod/{pod}", 9090) as port,
            httpx.AsyncClient(trust_env=False) as http,
        ):
            metrics = (await http.get(f"http://127.0.0.1:{port}/metrics")).text
        shards.append(int(sum(float(value) for value in _GAUGE.findall(metrics))))
    return shards
