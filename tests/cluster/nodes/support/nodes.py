"""The node that fails, and its pods."""

import asyncio
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from tests.cluster.support.cluster import Cluster, Json, Namespace
from tests.cluster.support.commands import run, wait_until
from tests.cluster.support.release import SERVICES
from tests.cluster.support.steps import Step

# Those that production values have two of.
PAIRS: Final = (*SERVICES, "temporal")
_COMMAND_SECONDS: Final = 120.0
_STATE_SECONDS: Final = 120.0
_PODS_SECONDS: Final = 240.0
_MOVES: Final = 4
_DRAIN_SECONDS: Final = 180


@dataclass(frozen=True)
class Node:
    """A node; `command` cuts, heals, kills and adds it."""

    cluster: Cluster
    name: str
    command: str

    def lose_power(self) -> None:
        """Stop all that runs on the node, of which nobody gets word: no connection is closed."""
        self._do("cut")
        self._do("kill")

    def cut(self) -> None:
        """Cut its network; what runs on it runs on."""
        self._do("cut")

    def heal(self) -> None:
        self._do("heal")

    def bring_back(self) -> None:
        """Repair whatever was done to the node, and wait until it is ready."""
        self._do("heal")
        self._do("add")
        self.cluster.kubectl("uncordon", self.name)
        self.until_ready("True")

    def until_ready(self, status: str) -> float:
        """Wait for a status of the condition Ready; return how long that took."""
        began = time.monotonic()
        path = '--output=jsonpath={.status.conditions[?(@.type=="Ready")].status}'
        wait_until(
            f"Ready={status} of {self.name}",
            lambda: self.cluster.kubectl("get", "node", self.name, path),
            lambda ready: ready == status,
            _STATE_SECONDS,
        )
        return time.monotonic() - began

    def drain(self) -> None:
        """Evict its pods, as the PodDisruptionBudgets allow it."""
        options = ("--ignore-daemonsets", "--delete-emptydir-data", f"--timeout={_DRAIN_SECONDS}s")
        self.cluster.kubectl("drain", self.name, *options, seconds=_DRAIN_SECONDS + 30)

    @contextmanager
    def out_of_service(self) -> Iterator[None]:
        """Tell Kubernetes for the block that the node is off: its volumes may move."""
        taint = "node.kubernetes.io/out-of-service"
        self.cluster.kubectl("taint", "node", self.name, f"{taint}=nodeshutdown:NoExecute")
        try:
            yield
        finally:
            self.cluster.kubectl("taint", "node", self.name, f"{taint}-")

    def _do(self, what: str) -> None:
        run(*shlex.split(self.command), what, seconds=_COMMAND_SECONDS)


async def lose_power(node: Node, step: Step) -> float:
    """Take a node's power, and wait until Kubernetes notices; return when it was taken."""
    died = time.time()
    await asyncio.to_thread(node.lose_power)
    not_ready = await asyncio.to_thread(node.until_ready, "Unknown")
    step.saw(not_ready_after=f"{not_ready:.0f} s")
    return died


def spread(namespace: Namespace) -> dict[str, set[str]]:
    """Return the nodes of each component's ready pods, of those that there are two of."""
    return {
        component: {
            pod["spec"]["nodeName"]
            for pod in namespace.get("pods", component=component)
            if _is_ready(pod) and "deletionTimestamp" not in pod["metadata"]
        }
        for component in PAIRS
    }


def spread_out(namespace: Namespace) -> None:
    """Bring the pods of each pair to both nodes: Kubernetes moves none by itself."""
    for _ in range(_MOVES):
        until_settled(namespace)
        gathered = [name for name, nodes in spread(namespace).items() if len(nodes) == 1]
        if not gathered:
            return
        for component in gathered:
            namespace.kubectl("delete", "pod", namespace.pods(component)[0])
    raise AssertionError(f"not on both nodes: {spread(namespace)}")


def until_settled(namespace: Namespace) -> None:
    """Wait until every pod is ready and none terminates."""
    wait_until("all pods", lambda: unsettled(namespace), lambda names: not names, _PODS_SECONDS)


def unsettled(namespace: Namespace) -> list[str]:
    """Return the pods that are neither ready nor done."""
    return [
        pod["metadata"]["name"]
        for pod in namespace.get("pods")
        if "deletionTimestamp" in pod["metadata"]
        or (pod["status"]["phase"] != "Succeeded" and not _is_ready(pod))
    ]


def _is_ready(pod: Json) -> bool:
    conditions = pod["status"].get("conditions", ())
    return any(
        condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions
    )
