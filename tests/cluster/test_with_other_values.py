"""Credentials change by themselves, then with much else; then two Temporal pods form one ring."""

import asyncio
import re
import time
from datetime import timedelta
from hashlib import sha256
from http import HTTPStatus
from secrets import token_hex
from typing import Final

import httpx
import pytest
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client

from orderfleet.temporal.encryption import KEY_ID
from orderfleet.temporal.payload_keys import make_key
from tests.cluster.conftest import ReleaseWith
from tests.cluster.support import images
from tests.cluster.support.commands import wait_until
from tests.cluster.support.flows import Load, flow
from tests.cluster.support.release import NAME, Release
from tests.cluster.support.shop import Shop, balanced, eventually, states
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
# The test makes the kubelet bring a changed Secret at once.
_AT_ONCE: Final = {"postgres.passwordDelaySeconds": 10}
_VALUES: Final = {
    **images.values(images.OLD),
    "temporal.replicas": 2,
    "temporal.namespace.retention": f"{_RETENTION_HOURS}h",
    "temporal.extraEnv": [{"name": "LOG_LEVEL", "value": "error"}],
    "global.ipv6": "true",
    **_AT_ONCE,
}


async def test_credentials_change_without_a_restart(
    release_with: ReleaseWith, steps: Steps
) -> None:
    release = release_with(images.values(images.OLD) | _AT_ONCE)
    with steps.step("passwords, API key, payload key change, under 3 orders a second") as step:
        pods = release.services_pods()
        with flow(release, "credentials", images.OLD, Load(rate=3, refusable=True)) as orders:
            temporal = await _change_passwords(release)
            await _change_api_key(release)
            key_id = _rotate_payload_key(release)
            async with release.shop() as shop:
                await eventually(
                    "an order under the new payload key",
                    lambda: _key_of_an_order(release, shop),
                    lambda used: used == key_id,
                    60,
                )
            assert temporal not in release.namespace.pods("temporal")
        orders.show(step)
        orders.check()
        # Of a node that has no time: a credential's fault has another reason.
        assert {refusal["reason"] for refusal in orders.refusals} <= {"busy"}
        # Neither another pod nor a restart of one.
        assert release.services_pods() == pods
        async with release.books() as pool:
            await balanced(pool, orders.accepted, seconds=_ENDED_SECONDS)


async def _change_passwords(release: Release) -> str:
    """Change all passwords of Postgres; return the pod of Temporal that helm has replaced."""
    (temporal,) = release.namespace.pods("temporal")
    old = release.namespace.secret(f"{NAME}-postgres")
    new = {name: token_hex() for name in old}
    release.change_secret(f"{NAME}-postgres", new)
    release.bring_secrets()
    await asyncio.to_thread(
        wait_until, "Postgres refuses the old ones", lambda: _accepted(release, old), _is_empty, 60
    )
    assert _accepted(release, new) == set(new)
    # As if the server had ended them: from here on the new password counts.
    release.psql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'orderfleet'"
    )
    # Temporal reads its password when it starts.
    release.upgrade(release.revisions[-1])
    return temporal


async def _change_api_key(release: Release) -> None:
    secret = f"{NAME}-api-keys"
    before, key = release.namespace.secret(secret)["keys"], token_hex()
    both = f"{before}\nsecond:{sha256(key.encode()).hexdigest()}"
    for keys, status in ((both, HTTPStatus.OK), (before, HTTPStatus.UNAUTHORIZED)):
        release.change_secret(secret, {"keys": keys})
        release.bring_secrets()
        for pod in release.namespace.pods("api"):
            await _until_answered(release, pod, key, status)


async def _until_answered(release: Release, pod: str, key: str, status: HTTPStatus) -> None:
    """Wait until a pod of the API answers a key so."""
    headers = {"authorization": f"Bearer {key}"}
    async with (
        release.namespace.forwarded(f"pod/{pod}", 8000) as port,
        httpx.AsyncClient(trust_env=False, headers=headers) as http,
    ):
        await eventually(
            f"{status} of {pod}",
            lambda: http.get(f"http://127.0.0.1:{port}/orders?limit=1"),
            lambda answer: answer.status_code == status,
            60,
        )


def _rotate_payload_key(release: Release) -> str:
    secret = f"{NAME}-payload-keys"
    # A time before which every pod has the file.
    key = make_key(time.time() + 15)
    keys = release.namespace.secret(secret)["keys"]
    release.change_secret(secret, {"keys": f"{key}\n{keys}"})
    release.bring_secrets()
    return key.id


async def _key_of_an_order(release: Release, shop: Shop) -> str:
    """Place an order; return the key that its input is encrypted with."""
    order_id = await shop.place("payload-key")
    async with release.temporal() as client:
        history = await client.get_workflow_handle(order_id).fetch_history()
    started = history.events[0].workflow_execution_started_event_attributes
    return started.input.payloads[0].metadata[KEY_ID].decode()


def _is_empty(found: set[str]) -> bool:
    return not found


async def test_an_upgrade_with_other_passwords(release_with: ReleaseWith, steps: Steps) -> None:
    release = release_with(images.values(images.OLD) | _AT_ONCE)
    with steps.step("helm upgrade: passwords, retention, extraEnv, `::`, two Temporals") as step:
        old = release.namespace.secret(f"{NAME}-postgres")
        new = {name: token_hex() for name in old}
        (postgres,) = release.namespace.pods("postgres")
        with flow(release, "rotation", images.OLD, Load(rate=1)) as orders:
            release.change_secret(f"{NAME}-postgres", new)
            release.bring_secrets()
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
