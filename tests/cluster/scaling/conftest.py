"""A release that KEDA scales, or prometheus-adapter, and a watch on its replicas.

    make test-scaling              on the cluster of the current context
    make test-scaling-hpa          the queues and the stopped Prometheus in mode hpa

The cluster needs KEDA, or prometheus-adapter with the rules of docs/prometheus-adapter.yaml, and a
Prometheus that scrapes annotated pods every 5 s, at PROMETHEUS (namespace/service:port); one test
stops it for two minutes. Everything else is as for `make test-cluster`, also that each test brings
the release and the replicas to where it starts. The order saves time: the tests with other values
are in the last files.
"""

import os
from collections.abc import Iterator
from typing import Any, Final

import msgspec
import pytest

from orderfleet.gateways.simulated import Fault
from tests.cluster.conftest import ReleaseWith
from tests.cluster.scaling.support.results import Results
from tests.cluster.scaling.support.watching import Trigger, Watch, triggers, watching
from tests.cluster.support import images
from tests.cluster.support.commands import wait_until
from tests.cluster.support.prometheus import Address, address
from tests.cluster.support.release import NAME, Release
from tests.cluster.support.steps import Steps
from tests.images.services import ROOT

# keda or hpa.
MODE: Final = os.environ.get("SCALING_MODE") or "keda"
POLL_SECONDS: Final = 5
WINDOW_SECONDS: Final = 30
SLOTS: Final = 10
_TARGET_PERCENT: Final = 8
POD_SLOTS: Final = SLOTS * _TARGET_PERCENT / 100
# 2 orders a second x 1.8 s are 3 or 4 slots in use at every look: more than 3 pods of 0.8 slots
# serve. At 3 orders a second two slow cores were full, and an order took up to 11 of its 15 s.
RATE: Final = 2
WORKERS: Final = ("order-worker", "shipping-worker")
LEAST: Final = 2
MOST: Final = 4
_QUERIES_SECONDS: Final = 90.0
SLOWER_SECONDS: Final = 2.0
# Two scrapes at the least, and one that is late.
_REFUSED_WINDOW: Final = "20s"
# Slow, but within the 2.5 s of a call's timeout: each call holds its slot for so long.
_SLOW: Final = (
    Fault(at="charge", kind="hang_after", orders="slow-charge*", seconds=1.8),
    Fault(at="dispatch", kind="hang_after", orders="slow-carrier*", seconds=1.8),
    Fault(at="charge", kind="hang_after", orders="slower-charge*", seconds=SLOWER_SECONDS),
    Fault(at="charge", kind="hang_after", orders="slow-both*", seconds=1.8),
    Fault(at="dispatch", kind="hang_after", orders="slow-both*", seconds=1.8),
)
# The default window is 300 s: too long to see a fall here.
BEHAVIOR: Final = {
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
def built(cluster: object, steps: Steps) -> None:
    """Build and load one version."""
    images.make_one(steps)


@pytest.fixture
def release(release_with: ReleaseWith, values: dict[str, Any]) -> Release:
    """The shared release with `values`."""
    return release_with(values)


@pytest.fixture(scope="session")
def values(prometheus: Address) -> dict[str, Any]:
    """`autoscaling.mode`, few slots, and gateways that are slow for some orders."""
    env = [{"name": "ORDERFLEET_GATEWAY_FAULTS", "value": msgspec.json.encode(_SLOW).decode()}]
    found: dict[str, Any] = {
        **images.values(images.OLD),
        "autoscaling.mode": MODE,
        "autoscaling.prometheus.address": prometheus.url,
        "autoscaling.keda.pollingSeconds": POLL_SECONDS,
        "api.autoscaling.maxReplicas": MOST,
        "api.autoscaling.requestsTarget": 10,
        "api.autoscaling.behavior": BEHAVIOR,
    }
    for key in ("orderWorker", "shippingWorker"):
        found |= {
            f"{key}.activitySlots": SLOTS,
            f"{key}.extraEnv": env,
            f"{key}.autoscaling.minReplicas": LEAST,
            f"{key}.autoscaling.maxReplicas": MOST,
            f"{key}.autoscaling.slotTargetPercent": _TARGET_PERCENT,
            f"{key}.autoscaling.behavior": BEHAVIOR,
        }
    return found


@pytest.fixture(scope="session")
def asked(release_with: ReleaseWith, values: dict[str, Any]) -> dict[str, Trigger]:
    """The triggers' queries, as KEDA has them, or would have them."""
    release = release_with(values)
    return triggers(release.render({**values, "autoscaling.mode": "keda"}))


@pytest.fixture(scope="session")
def watch(shared: Release, prometheus: Address, asked: dict[str, Trigger]) -> Iterator[Watch]:
    """Watch until the end of the tests; every query has an answer when they begin."""
    namespace = shared.namespace.name
    used = {
        f"{service} used": "sum(temporal_worker_task_slots_used{"
        f'namespace="{namespace}", pod=~"{NAME}-{service}-.+", worker_type="ActivityWorker"}})'
        for service in WORKERS
    }
    refused = {
        "api refused": "sum(rate(orderfleet_orders_refused_total{"
        f'namespace="{namespace}", pod=~"{NAME}-api-.+", reason="busy"}}[{_REFUSED_WINDOW}]))'
    }
    queries = {name: trigger.query for name, trigger in asked.items()}
    with watching(shared.namespace, prometheus, queries | used | refused) as found:
        wait_until(
            "an answer to every trigger",
            lambda: {name for name, query in queries.items() if found.ask(query) is None},
            lambda unanswered: not unanswered,
            _QUERIES_SECONDS,
        )
        yield found


@pytest.fixture(scope="session")
def results() -> Results:
    by_keda = MODE == "keda"
    asks = f"KEDA asks every {POLL_SECONDS} s" if by_keda else "an HPA asks every 15 s"
    head = (
        f"Mode {MODE}. Prometheus scrapes every 5 s, {asks}, the "
        f"stabilisation window is {WINDOW_SECONDS} s. A worker has {SLOTS} activity slots and asks "
        f"for another pod at {_TARGET_PERCENT} % of them; {LEAST} pods at the least, {MOST} at the "
        "most."
    )
    folder = ROOT / "docs/scaling"
    if by_keda:
        return Results(folder, "test-scaling", head)
    return Results(folder / MODE, f"test-scaling-{MODE}", head)
