"""Two pods of Temporal form one ring, and one of them may go."""

import asyncio
import re

import httpx
import pytest

from tests.cluster.support import images
from tests.cluster.support.commands import wait_until
from tests.cluster.support.release import Release
from tests.cluster.support.shop import balanced, eventually, states
from tests.cluster.support.steps import Steps

pytestmark = pytest.mark.timeout(600)

_SHARDS = 64
_SERVICES = 4
# A heartbeat comes every 10 s.
_MEMBERS = """
SELECT role, count(*) FROM cluster_membership
WHERE last_heartbeat > now() AT TIME ZONE 'utc' - interval '30 s' GROUP BY role
"""
_GAUGE = re.compile(r"^numshards_gauge(?:\{[^}]*\})? (\S+)$", re.MULTILINE)
_SETTLED_SECONDS = 120


async def test_two_pods_are_one_ring(release: Release, steps: Steps) -> None:
    with steps.step("temporal.replicas=2 is one ring; one of the two deleted") as step:
        release.upgrade({**images.values(images.OLD), "temporal.replicas": 2})
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
            await balanced(pool, everyone, seconds=_SETTLED_SECONDS)
            step.saw(under_way=await states(pool, under_way), during=await states(pool, during))


async def _shards(release: Release) -> list[int]:
    """Return how many shards of the history each pod has."""
    found = []
    for pod in release.namespace.pods("temporal"):
        async with (
            release.namespace.forwarded(f"pod/{pod}", 9090) as port,
            httpx.AsyncClient(trust_env=False) as http,
        ):
            told = (await http.get(f"http://127.0.0.1:{port}/metrics")).text
        found.append(int(sum(float(value) for value in _GAUGE.findall(told))))
    return found
