"""Prometheus is away: what nobody knows is not zero, and nothing is scaled down."""

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

import pytest

from tests.cluster.scaling.conftest import LEAST, MOST, WINDOW_SECONDS, WORKERS
from tests.cluster.scaling.support import courses
from tests.cluster.scaling.support.results import Results
from tests.cluster.scaling.support.watching import Watch
from tests.cluster.scaling.test_1_queues import doctor
from tests.cluster.support import images
from tests.cluster.support.cluster import Json, Namespace
from tests.cluster.support.commands import wait_until
from tests.cluster.support.flows import Load, flow
from tests.cluster.support.release import Release
from tests.cluster.support.shop import balanced
from tests.cluster.support.steps import Steps

pytestmark = pytest.mark.timeout(600)

_RATE: Final = 3
_SECONDS: Final = 35
_UP_SECONDS: Final = 60
# Well past the window after the load: with data, both would be down by then.
_AWAY_SECONDS: Final = WINDOW_SECONDS + 45
_DOWN_SECONDS: Final = 150


async def test_a_stopped_prometheus_scales_nothing_down(
    release: Release, watch: Watch, prometheus: str, steps: Steps, results: Results
) -> None:
    with steps.step("Prometheus stopped under load") as step:
        began = time.time()
        name = "slow-carrier-d"
        with ExitStack() as prometheus_away:
            with flow(release, name, images.OLD, Load(_RATE, _SECONDS)) as placed:
                await asyncio.to_thread(_until_up, watch)
                prometheus_away.enter_context(_stopped(release.namespace, prometheus))
                stopped = time.time()
            ended = time.time()
            said = await asyncio.to_thread(doctor, release, wanted=1)
            assert "FAIL  Prometheus" in said, said
            assert "Fallback is True" in said, said
            await asyncio.sleep(ended + _AWAY_SECONDS - time.time())
            away = watch.since(stopped)
        placed.show(step)
        placed.check()
        for service in (*WORKERS, "api"):
            fallen = [one for one in courses.changes(away, service) if one.after < one.before]
            assert fallen == [], service
        assert away[-1].replicas["shipping-worker"] == MOST
        assert all(value is None for look in away[5:] for value in look.values.values())
        back = time.time()
        await asyncio.to_thread(_until_down, watch)
        step.saw(
            away=f"{back - stopped:.0f} s",
            replicas_meanwhile=f"{MOST}",
            down_again_after=f"{time.time() - back:.0f} s",
        )
        title = "Prometheus stopped under load, nothing scaled down"
        marks = {"Prometheus stopped": stopped, "load ended": ended, "Prometheus back": back}
        results.add(title, step.seen, watch.since(began), marks)
        async with release.books() as pool:
            await balanced(pool, placed.accepted)


def _until_up(watch: Watch) -> None:
    wait_until(
        "all pods of the shipping worker",
        lambda: watch.looks[-1].ready["shipping-worker"],
        lambda ready: ready == MOST,
        _UP_SECONDS,
    )


def _until_down(watch: Watch) -> None:
    wait_until(
        "the least replicas",
        lambda: watch.looks[-1].replicas["shipping-worker"],
        lambda replicas: replicas == LEAST,
        _DOWN_SECONDS,
    )


@contextmanager
def _stopped(ours: Namespace, prometheus: str) -> Iterator[None]:
    """Stop the Deployment behind Prometheus' Service while the block runs."""
    of, _, service = prometheus.partition("/")
    namespace = Namespace(ours.cluster, of)
    found = namespace.kubectl("get", "service", service.partition(":")[0], "--output=json")
    selector: dict[str, str] = json.loads(found)["spec"]["selector"]
    (deployment,) = [one for one in namespace.get("deployments") if _selected(one, selector)]
    name, replicas = deployment["metadata"]["name"], deployment["spec"]["replicas"]
    pods = ",".join(f"{key}={value}" for key, value in selector.items())
    try:
        namespace.kubectl("scale", f"deployment/{name}", "--replicas=0")
        namespace.kubectl("wait", "pod", f"--selector={pods}", "--for=delete", "--timeout=50s")
        yield
    finally:
        namespace.kubectl("scale", f"deployment/{name}", f"--replicas={replicas}")
        namespace.kubectl("rollout", "status", f"deployment/{name}", "--timeout=50s")


def _selected(deployment: Json, selector: dict[str, str]) -> bool:
    labels: dict[str, str] = deployment["spec"]["template"]["metadata"]["labels"]
    return selector.items() <= labels.items()
