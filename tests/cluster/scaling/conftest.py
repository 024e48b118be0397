"""A release that KEDA scales, and someone who looks on; the tests run in the order of their files.

    make test-scaling              on the cluster of the current context

The cluster needs KEDA and, where PROMETHEUS says (namespace/service:port), a Prometheus that
scrapes annotated pods every 5 s. That one is stopped for two minutes in between. Everything else is
as for `make test-cluster`.
"""

import os
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec
import pytest

from orderfleet.gateways.simulated import Fault
from tests.cluster.scaling.support.results import Results
from tests.cluster.scaling.support.watching import Trigger, Watch, triggers, watching
from tests.cluster.support import images
from tests.cluster.support.cluster import Namespace
from tests.cluster.support.commands import wait_until
from tests.cluster.support.prometheus import Address, address
from tests.cluster.support.release import NAME, Release
from tests.cluster.support.steps import Steps
from tests.images.services import ROOT

POLL_SECONDS: Final = 5
WINDOW_SECONDS: Final = 30
SLOTS: Final = 10
_TARGET_PERCENT: Final = 8
POD_SLOTS: Final = SLOTS * _TARGET_PERCENT / 100
# 2 orders a second x 1.8 s are 3 or 4 slots in use: more than 3 pods of 0.8 are good for, at every
# look. At 3 orders a second two slow cores were full, and an order took up to 11 of its 15 s.
RATE: Final = 2
WORKERS: Final = ("order-worker", "shipping-worker")
LEAST: Final = 2
MOST: Final = 4
_QUERIES_SECONDS: Final = 90.0
# Slow, but inside the 2.5 s that a call may take: a slot is in use for so long.
_SLOW: Final = (
    Fault(at="charge", kind="hang_after", orders="slow-charge*", seconds=1.8),
    Fault(at="dispatch", kind="hang_after", orders="slow-carrier*", seconds=1.8),
    Fault(at="charge", kind="hang_after", orders="slow-both*", seconds=1.8),
    Fault(at="dispatch", kind="hang_after", orders="slow-both*", seconds=1.8),
)
# The window is 300 s by default: here a fall has to be seen.
_BEHAVIOR: Final = {
    "scaleUp": {
        "stabilizationWindowSeconds": 0,
        "policies": [{"type": "Pods", "value": 4, "periodSeconds": 15}],
    },
    "scaleDown": {
        "stabilizationWindowSeconds": WINDOW_SECONDS,
        "policies": [{"type": "Pods", "value": 1, "periodSeconds": 15}],
    },
}


@pytest.fixture(scope="session")
def prometheus(cluster: object) -> Address:
    where = os.environ.get("PROMETHEUS") or ""
    found = address(where)
    if found is None:
        pytest.exit(f"PROMETHEUS={where or '(unset)'}: wanted namespace/service:port", returncode=2)
    return found


@pytest.fixture(scope="session")
def release(
    values: dict[str, Any], new_namespace: Callable[[str], Namespace], steps: Steps
) -> Release:
    """Install with `autoscaling.mode: keda`, few slots, and gateways that are slow for some."""
    with steps.step("build and load three images") as step:
        images.build(ROOT, images.OLD)
        images.load(images.OLD)
        step.saw(tag=images.OLD)
    installed = Release(new_namespace("scaling"))
    with steps.step("helm install, mode keda") as step:
        installed.install(values)
        step.saw(pods=len(installed.namespace.pods()))
    return installed


@pytest.fixture(scope="session")
def values(prometheus: Address) -> dict[str, Any]:
    """Return the values of the release."""
    env = [{"name": "ORDERFLEET_GATEWAY_FAULTS", "value": msgspec.json.encode(_SLOW).decode()}]
    found: dict[str, Any] = {
        **images.values(images.OLD),
        "autoscaling.mode": "keda",
        "autoscaling.prometheus.address": prometheus.url,
        "autoscaling.keda.pollingSeconds": POLL_SECONDS,
        "api.autoscaling.maxReplicas": MOST,
        "api.autoscaling.requestsTarget": 10,
        "api.autoscaling.behavior": _BEHAVIOR,
    }
    for key in ("orderWorker", "shippingWorker"):
        found |= {
            f"{key}.activitySlots": SLOTS,
            f"{key}.extraEnv": env,
            f"{key}.autoscaling.minReplicas": LEAST,
            f"{key}.autoscaling.maxReplicas": MOST,
            f"{key}.autoscaling.slotTargetPercent": _TARGET_PERCENT,
            f"{key}.autoscaling.behavior": _BEHAVIOR,
        }
    return found


@pytest.fixture(scope="session")
def asked(release: Release) -> dict[str, Trigger]:
    """The triggers' queries, as KEDA has them."""
    return triggers(release.namespace)


@pytest.fixture(scope="session")
def watch(release: Release, prometheus: Address, asked: dict[str, Trigger]) -> Iterator[Watch]:
    """Look on until the end of the tests; every query has an answer when they begin."""
    namespace = release.namespace.name
    used = {
        f"{service} used": "sum(temporal_worker_task_slots_used{"
        f'namespace="{namespace}", pod=~"{NAME}-{service}-.+", worker_type="ActivityWorker"}})'
        for service in WORKERS
    }
    queries = {name: trigger.query for name, trigger in asked.items()}
    with watching(release.namespace, prometheus, queries | used) as found:
        wait_until(
            "an answer to every trigger",
            lambda: {name for name, query in queries.items() if found.ask(query) is None},
            lambda unanswered: not unanswered,
            _QUERIES_SECONDS,
        )
        yield found


@pytest.fixture(scope="session")
def results() -> Results:
    head = (
        f"Prometheus scrapes every 5 s, KEDA asks every {POLL_SECONDS} s, the stabilisation window "
        f"is {WINDOW_SECONDS} s. A worker has {SLOTS} activity slots and asks for another pod at "
        f"{_TARGET_PERCENT} % of them; {LEAST} pods at the least, {MOST} at the most."
    )
    return Results(ROOT / "docs/scaling", head)
