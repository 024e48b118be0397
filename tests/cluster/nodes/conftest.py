"""A release on two nodes, one of which is drained, loses its power or is cut off.

    make test-nodes               on the cluster of the current context

The second node is NODE_NAME (node-b by default). NODE is a command that takes `cut` and `heal` (its
network), `kill` and `add` (its power). The first one, whichever else there is, has Postgres and the
client. Everything else is as for `make test-cluster`.
"""

import os
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec
import pytest

from orderfleet.gateways.simulated import Fault
from tests.cluster.nodes.support.nodes import Node, spread_out
from tests.cluster.support import images
from tests.cluster.support.cluster import Cluster, Namespace
from tests.cluster.support.flows import Load
from tests.cluster.support.release import CHART, Release
from tests.cluster.support.steps import Steps

RATE: Final = 3
# A client, or the proxy in front of the API, that tries another pod when one does not answer.
ATTEMPT_SECONDS: Final = 4.0
PRODUCTION: Final = CHART / "values-production.yaml"
# The first call hangs until after the cut has healed, and has its effect then.
STUCK_SECONDS: Final = 75.0
_FAULTS: Final = (
    *(Fault(at=at, kind="hang_before", orders="cut*", seconds=1) for at in ("charge", "dispatch")),
    *(
        Fault(at=at, kind="hang_before", orders=f"stuck-{at}*", times=1, seconds=STUCK_SECONDS)
        for at in ("charge", "dispatch")
    ),
)


@pytest.fixture(scope="session")
def built(cluster: Cluster, steps: Steps) -> None:
    """Build and load one version."""
    images.make_one(steps)


@pytest.fixture(scope="session")
def second(cluster: Cluster) -> Iterator[Node]:
    """The node that fails; it is well again in the end."""
    command = os.environ.get("NODE") or ""
    if not command:
        pytest.exit("NODE=(unset): wanted a command that takes cut, heal, kill and add", 2)
    node = Node(cluster, os.environ.get("NODE_NAME") or "node-b", command)
    yield node
    node.bring_back()


@pytest.fixture(scope="session")
def first(cluster: Cluster, second: Node) -> str:
    """The name of the node that stays."""
    names = cluster.kubectl("get", "nodes", "--output=jsonpath={.items[*].metadata.name}").split()
    others = [name for name in names if name != second.name]
    assert len(others) == 1, f"wanted two nodes, {second.name} among them: {names}"
    return others[0]


@pytest.fixture(scope="session")
def load(first: str) -> Callable[[float], Load]:
    """Make a load of so many seconds."""

    def make(seconds: float) -> Load:
        return Load(RATE, seconds, refusable=True, attempt_seconds=ATTEMPT_SECONDS, node=first)

    return make


@pytest.fixture(scope="session")
def values(first: str) -> dict[str, Any]:
    """Postgres and the UI on the first node; gateways that are slow for some orders."""
    env = [{"name": "ORDERFLEET_GATEWAY_FAULTS", "value": msgspec.json.encode(_FAULTS).decode()}]
    return {
        **images.values(images.OLD),
        "versioning.promotion": "self",
        "postgres.nodeSelector": {"kubernetes.io/hostname": first},
        "temporal.ui.enabled": "false",
        "orderWorker.extraEnv": env,
        "shippingWorker.extraEnv": env,
    }


@pytest.fixture(scope="module")
def production(
    own_namespace: Namespace, second: Node, values: dict[str, Any], steps: Steps
) -> Release:
    """A release with the values for production."""
    release = Release(own_namespace, files=(PRODUCTION,))
    with steps.step("helm install with the values for production"):
        release.install(values)
    return release


@pytest.fixture
def release(production: Release, second: Node) -> Release:
    """The release for production, spread over two nodes that are well."""
    second.bring_back()
    spread_out(production.namespace)
    return production


def preferring(node: str) -> dict[str, Any]:
    """An affinity: the node if it is there."""
    expression = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    term = {"weight": 100, "preference": {"matchExpressions": [expression]}}
    return {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [term]}}
