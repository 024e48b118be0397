"""Explains a failure: pods, events, and the logs of containers that are not ready."""

import json
from collections.abc import Iterator
from typing import Final

from tests.cluster.support.cluster import Json, Namespace

_LINES: Final = 30
_EVENTS: Final = 40


def diagnosis(namespace: Namespace) -> str:
    return "\n".join(_parts(namespace))


def _parts(namespace: Namespace) -> Iterator[str]:
    yield f"--- {namespace.name}"
    yield _output(namespace, "get", "pods,jobs,pvc", "--output=wide")
    # Not by .lastTimestamp, which events of the scheduler lack.
    events = _output(
        namespace, "get", "events", "--sort-by=.metadata.creationTimestamp"
    ).splitlines()
    yield "\n".join(events[-_EVENTS:])
    try:
        pods: list[Json] = json.loads(namespace.kubectl("get", "pods", "--output=json"))["items"]
    except AssertionError as error:
        yield str(error)
        return
    for pod in pods:
        yield from _logs(namespace, pod)


def _logs(namespace: Namespace, pod: Json) -> Iterator[str]:
    status, name = pod["status"], pod["metadata"]["name"]
    containers = (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ()))
    succeeded = status.get("phase") == "Succeeded"
    if not containers:
        yield f"--- {name}: {json.dumps(status.get('conditions', ()))}"
    for container in containers:
        of = (name, f"--container={container['name']}", f"--tail={_LINES}")
        ended_well = container["state"].get("terminated", {}).get("exitCode") == 0
        if not (container["ready"] or ended_well or succeeded):
            yield f"--- {name} {container['name']}: {json.dumps(container['state'])}"
            yield _output(namespace, "logs", *of)
        if container["restartCount"] and not succeeded:
            yield f"--- {name} {container['name']}: before its restart"
            yield _output(namespace, "logs", "--previous", *of)


def _output(namespace: Namespace, *command: str) -> str:
    try:
        return namespace.kubectl(*command).rstrip()
    except AssertionError as error:
        return str(error)
