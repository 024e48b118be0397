"""Pods: how long a new pod takes, and how a deleted pod ends."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from tests.cluster.support.cluster import Json, Namespace
from tests.cluster.support.commands import wait_until

# Keeps an ended pod, so that its exit code can be read.
_FINALIZER: Final = "orderfleet.test/look-at-the-end"
_END_SECONDS: Final = 60.0


@dataclass(frozen=True)
class Birth:
    """Times of a new pod; those of Kubernetes are in whole seconds."""

    pod: str
    created: float
    initialized: float
    polling: float
    ready: float


@dataclass(frozen=True)
class End:
    """How a pod ended."""

    pod: str
    exit_code: int
    seconds: float
    grace: float


def births(namespace: Namespace, component: str, since: float) -> list[Birth]:
    """Return the ready pods of a worker created since then, by the time they were ready."""
    return sorted(_births(namespace, component, since), key=lambda birth: birth.ready)


def _births(namespace: Namespace, component: str, since: float) -> Iterator[Birth]:
    for pod in namespace.get("pods", component=component):
        created = _time(pod["metadata"]["creationTimestamp"])
        conditions = {
            condition["type"]: condition for condition in pod["status"].get("conditions", ())
        }
        if created < int(since) or conditions.get("Ready", {}).get("status") != "True":
            continue
        name = pod["metadata"]["name"]
        lines = [json.loads(line) for line in namespace.kubectl("logs", name).splitlines()]
        (polling,) = [line["timestamp"] for line in lines if line["event"] == "polling"]
        yield Birth(
            name,
            created,
            _time(conditions["Initialized"]["lastTransitionTime"]),
            _time(polling),
            _time(conditions["Ready"]["lastTransitionTime"]),
        )


def delete_and_look(namespace: Namespace, pod: str) -> End:
    """Delete a pod as a drain of its node does, and return how its container ended."""
    _finalizers(namespace, pod, [_FINALIZER])
    try:
        began = time.time()
        namespace.kubectl("delete", "pod", pod, "--wait=false")
        deleted = wait_until(
            f"end of {pod}",
            lambda: _pod(namespace, pod),
            lambda deleted: "terminated" in deleted["status"]["containerStatuses"][0]["state"],
            _END_SECONDS,
        )
        seconds = time.time() - began
    finally:
        _finalizers(namespace, pod, [])
    ended = deleted["status"]["containerStatuses"][0]["state"]["terminated"]
    grace = float(deleted["spec"]["terminationGracePeriodSeconds"])
    return End(pod, ended["exitCode"], seconds, grace)


def _pod(namespace: Namespace, pod: str) -> Json:
    manifest: Json = json.loads(namespace.kubectl("get", "pod", pod, "--output=json"))
    return manifest


def _finalizers(namespace: Namespace, pod: str, names: list[str]) -> None:
    patch = json.dumps({"metadata": {"finalizers": names}})
    namespace.kubectl("patch", "pod", pod, "--type=merge", f"--patch={patch}")


def _time(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
