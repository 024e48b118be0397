"""The node with the only pod of Temporal, or of Postgres, loses its power."""

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

from tests.cluster.nodes.conftest import preferring
from tests.cluster.nodes.support.aftermath import aftermath
from tests.cluster.nodes.support.nodes import Node, lose_power, until_settled
from tests.cluster.support import images
from tests.cluster.support.cluster import Namespace
from tests.cluster.support.flows import Load, flow
from tests.cluster.support.release import Release
from tests.cluster.support.shop import balanced
from tests.cluster.support.steps import Steps

pytestmark = pytest.mark.timeout(700)

# NotReady after some 43 s, then what a pod is tolerated for, then its start.
_SECONDS: Final = 150
# From the moment at which the pod may run elsewhere.
_MOVED_SECONDS: Final = 90


@pytest.fixture(scope="module")
def one_of_each(own_namespace: Namespace) -> Release:
    """A release with no values but those of the tests."""
    return Release(own_namespace)


@pytest.fixture
def release_on(
    one_of_each: Release, second: Node, values: dict[str, Any], steps: Steps
) -> Iterator[Callable[[str], Release]]:
    """Bring the only pod of a component to the second node."""

    def bring(component: str) -> Release:
        second.bring_back()
        wanted = {**values, f"{component}.affinity": preferring(second.name)}
        if component == "postgres":
            del wanted["postgres.nodeSelector"]
        with steps.step(f"helm, {component} on {second.name}"):
            if one_of_each.revisions:
                one_of_each.upgrade(wanted)
            else:
                one_of_each.install(wanted)
        until_settled(one_of_each.namespace)
        (pod,) = one_of_each.namespace.get("pods", component=component)
        assert pod["spec"]["nodeName"] == second.name
        return one_of_each

    yield bring
    second.bring_back()
    until_settled(one_of_each.namespace)


async def test_the_only_temporal(
    release_on: Callable[[str], Release], second: Node, load: Callable[[float], Load], steps: Steps
) -> None:
    release = release_on("temporal")
    with steps.step("power lost of the node with the only Temporal") as step:
        with flow(release, "temporal", images.OLD, load(_SECONDS)) as placed:
            died = await lose_power(second, step)
            await asyncio.sleep(died + _SECONDS - time.time())
        seen = aftermath(placed, died)
        step.saw(**seen.line)
        async with release.books() as pool:
            await balanced(pool, placed.accepted, seconds=120)
        assert seen.whole_after < _SECONDS


async def test_the_only_postgres(
    release_on: Callable[[str], Release], second: Node, load: Callable[[float], Load], steps: Steps
) -> None:
    release = release_on("postgres")
    with steps.step("power lost of the node with the only Postgres") as step:
        with flow(release, "postgres", images.OLD, load(_SECONDS)) as placed:
            died = await lose_power(second, step)
            moved = time.time()
            with second.out_of_service():
                await asyncio.sleep(died + _SECONDS - time.time())
        seen = aftermath(placed, died)
        step.saw(out_of_service_after=f"{moved - died:.0f} s", **seen.line)
        async with release.books() as pool:
            await balanced(pool, placed.accepted, seconds=120)
        assert died + seen.whole_after - moved <= _MOVED_SECONDS
