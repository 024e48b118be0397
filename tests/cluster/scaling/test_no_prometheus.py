"""Without Prometheus no signal counts as zero, and nothing is scaled down."""

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

import pytest

from tests.cluster.scaling.conftest import (
    LEAST,
    MODE,
    MOST,
    POD_SLOTS,
    RATE,
    WINDOW_SECONDS,
    WORKERS,
)
from tests.cluster.scaling.support import courses
from tests.cluster.scaling.support.doctor import doctor
from tests.cluster.scaling.support.results import Results
from tests.cluster.scaling.support.watching import Look, Watch
from tests.cluster.support import images
from tests.cluster.support.cluster import Json, Namespace
from tests.cluster.support.commands import wait_until
from tests.cluster.support.flows import Load, flow
from tests.cluster.support.prometheus import Address
from tests.cluster.support.release import Release
from tests.cluster.support.shop import balanced
from tests.cluster.support.steps import Steps

pytestmark = pytest.mark.timeout(600)

_SECONDS: Final = 35
_UP_SECONDS: Final = 60
# With data, the falls come 23 to 39 s after the load: test_queues.py measures them.
_AWAY_SECONDS: Final = WINDOW_SECONDS + 25
# An HPA asks every 15 s.
_UNSEEN_SECONDS: Final = 40
# What `doctor` says of a scaler without signals.
_NO_SIGNAL: Final = {"keda": "Fallback is True", "hpa": "ScalingActive is False"}


async def test_a_stopped_prometheus_scales_nothing_down(
    release: Release, watch: Watch, prometheus: Address, steps: Steps, results: Results
) -> None:
    with steps.step("Prometheus stopped under load") as step:
        began = time.time()
        name = "slow-carrier-d"
        with ExitStack() as prometheus_away:
            with flow(release, name, images.OLD, Load(RATE, _SECONDS, refusable=True)) as placed:
                await asyncio.to_thread(
                    watch.until,
                    "all pods of the shipping worker, and work for them",
                    lambda look: look.ready["shipping-worker"] == MOST and _busy(look),
                    _UP_SECONDS,
                )
                prometheus_away.enter_context(_stopped(release.namespace, prometheus))
                stopped = time.time()
            ended = time.time()
            said = await asyncio.to_thread(
                wait_until,
                "doctor sees a scaler without signals",
                # An HPA does not name its Prometheus.
                lambda: doctor(release, f"--prometheus={prometheus.url}", wanted=1),
                lambda said: _NO_SIGNAL[MODE] in said,
                _UNSEEN_SECONDS,
            )
            assert "FAIL  Prometheus" in said, said
            await asyncio.sleep(ended + _AWAY_SECONDS - time.time())
            away = watch.since(stopped)
        placed.show(step)
        placed.check()
        for service in (*WORKERS, "api"):
            assert courses.falls(away, service) == [], service
        assert away[-1].replicas["shipping-worker"] == MOST
        assert all(value is None for look in away[5:] for value in look.values.values())
        back = time.time()
        await asyncio.to_thread(watch.until_least, LEAST, "shipping-worker")
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


def _busy(look: Look) -> bool:
    return (look.values["shipping-worker used"] or 0) > LEAST * POD_SLOTS


@contextmanager
def _stopped(ours: Namespace, prometheus: Address) -> Iterator[None]:
    """Stop the Deployment behind Prometheus' Service while the block runs."""
    namespace = Namespace(ours.cluster, prometheus.namespace)
    found = namespace.kubectl("get", "service", prometheus.service, "--output=json")
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
