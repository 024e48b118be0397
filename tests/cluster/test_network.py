"""Who reaches which port, where the cluster's network enforces NetworkPolicies.

NETWORK_POLICIES=enforced says that it does; without, there is nothing to see. PROMETHEUS is needed
for its namespace, whose pods may read metrics.
"""

import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

import pytest

from tests.cluster.support import images
from tests.cluster.support.cluster import Json, Namespace
from tests.cluster.support.commands import wait_until
from tests.cluster.support.release import CHART, Release
from tests.cluster.support.scripts import run_script
from tests.cluster.support.steps import Steps

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        os.environ.get("NETWORK_POLICIES") != "enforced" or not os.environ.get("PROMETHEUS"),
        reason="needs NETWORK_POLICIES=enforced and PROMETHEUS",
    ),
]

_SCRIPT: Final = Path(__file__).parent / "reach.py"
_ROW: Final = re.compile(
    r"^\| `(?P<to>[a-z-]+)` \| (?P<port>\d+) \| (?P<sources>.+) \|$", re.MULTILINE
)
_NAME: Final = re.compile(r"`([a-z-]+)`")
_LABEL: Final = "app.kubernetes.io/component"
_STRANGERS: Final = ("a pod of the namespace", "a pod of another namespace")
_END_SECONDS: Final = 90.0


_Targets: TypeAlias = Sequence[tuple[str, int]]
_Probe: TypeAlias = Callable[[Namespace, str, Json, _Targets], None]


class Port(NamedTuple):
    """A port of a component, called by its pod's address."""

    component: str
    number: int


def _table() -> dict[Port, set[str]]:
    """Return the chart's README: who may reach a port."""
    rows = _ROW.finditer((CHART / "README.md").read_text())
    return {
        Port(row["to"], int(row["port"])): set(_NAME.findall(row["sources"]))
        | set(_STRANGERS if "everywhere" in row["sources"] else ())
        for row in rows
    }


@pytest.fixture
def stranger(new_namespace: Callable[[str], Namespace]) -> Namespace:
    return new_namespace("stranger")


@pytest.fixture
def prober(release: Release) -> Iterator[_Probe]:
    """Start pods that try to reach ports; they are deleted at the end."""
    started: list[tuple[Namespace, str]] = []

    def start(namespace: Namespace, name: str, labels: Json, targets: _Targets) -> None:
        started.append((namespace, name))
        env = [{"name": "TARGETS", "value": json.dumps(targets)}]
        # Never ready: a Service of the component must not send it requests.
        run_script(namespace, name, _SCRIPT, images.OLD, env=env, labels=labels, ready=False)

    yield start
    for namespace, name in started:
        namespace.kubectl("delete", f"pod/{name}", f"configmap/{name}", "--now", "--wait=false")


def test_who_reaches_whom(
    release: Release,
    stranger: Namespace,
    prober: _Probe,
    steps: Steps,
) -> None:
    allowed = _table()
    components = {
        policy["metadata"]["labels"][_LABEL]: policy["spec"]["podSelector"]["matchLabels"]
        for policy in release.namespace.get("networkpolicies")
    }
    prometheus = Namespace(release.namespace.cluster, os.environ["PROMETHEUS"].partition("/")[0])
    sources: dict[str, tuple[Namespace, Json]] = {
        **{name: (release.namespace, labels) for name, labels in components.items()},
        _STRANGERS[0]: (release.namespace, {}),
        _STRANGERS[1]: (stranger, {}),
        prometheus.name: (prometheus, {}),
    }
    with steps.step("from pods with each component's labels, and strangers, to each port") as step:
        ports = list(allowed)
        assert {port.component for port in ports} <= set(components)
        targets = [(_address(release, port.component), port.number) for port in ports]
        names = {source: f"reach-{number}" for number, source in enumerate(sources)}
        for source, (namespace, labels) in sources.items():
            prober(namespace, names[source], labels, targets)
        reached = {
            source: _result(namespace, names[source]) for source, (namespace, _) in sources.items()
        }
        seen = {
            port: {
                source
                for source in sources
                # kube-router applies a policy's ingress rules to its own pods' egress, too.
                if reached[source][number] and (source != port.component or source in allowed[port])
            }
            for number, port in enumerate(ports)
        }
        step.saw(sources=len(sources), ports=len(ports), open=sum(map(len, seen.values())))
        assert seen == allowed


def _address(release: Release, component: str) -> str:
    pods = release.namespace.get("pods", component=component)
    # A pod that is being deleted still runs for a while.
    address: str = next(
        pod["status"]["podIP"]
        for pod in pods
        if pod["status"]["phase"] == "Running" and "deletionTimestamp" not in pod["metadata"]
    )
    return address


def _result(namespace: Namespace, name: str) -> list[bool]:
    def phase() -> str:
        return namespace.kubectl("get", "pod", name, "--output=jsonpath={.status.phase}")

    wait_until(f"the end of {name}", phase, lambda now: now == "Succeeded", _END_SECONDS)
    result: list[bool] = json.loads(namespace.kubectl("logs", name))
    return result
