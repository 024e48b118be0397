"""Run a Python file of the tests in a pod of the cluster, with the standard library."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.cluster.support.cluster import Json, Namespace
from tests.cluster.support.images import image
from tests.images.services import ROOT

# The label that a Service selects the pod by.
LABEL: Final = "orderfleet-test"
# What a pod of the tests asks for. Without, it gets a core only where no pod of the fleet wants it:
# while an upgrade's pods started, clients sent orders 3 s late and waited seconds for themselves.
RESOURCES: Final[Json] = {"requests": {"cpu": "20m", "memory": "32Mi"}}


def run_script(
    namespace: Namespace,
    name: str,
    script: Path,
    tag: str,
    *,
    env: list[Json] | None = None,
    labels: Json | None = None,
    ready: bool = True,
    modules: Sequence[Path] = (),
    node: str = "",
) -> None:
    """Start the script; the pod and its ConfigMap have the name, and the pod's label too.

    A pod that is never ready gets no requests of a Service that selects its labels. `modules` are
    files of this repository that the script imports; the image has what they import. Without a
    `node`, any node runs the pod.
    """
    files = {script.name: script} | {str(path.relative_to(ROOT)): path for path in modules}
    data = {_key(path): file.read_text() for path, file in files.items()}
    namespace.create("v1", "ConfigMap", name, data=data)
    metadata = {"name": name, "labels": {LABEL: name, **(labels or {})}}
    spec = _spec(name, script.name, tag, env or [])
    items = [{"key": _key(path), "path": path} for path in files]
    spec["volumes"][0]["configMap"]["items"] = items
    if node:
        spec["nodeSelector"] = {"kubernetes.io/hostname": node}
    if not ready:
        spec["containers"][0]["readinessProbe"] = {"exec": {"command": ["false"]}}
    namespace.create("v1", "Pod", name, metadata=metadata, spec=spec)


def _key(path: str) -> str:
    return path.replace("/", "--")


def _spec(name: str, script: str, tag: str, env: list[Json]) -> Json:
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 10001,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": name,
                # For its Python.
                "image": image("api", tag),
                "imagePullPolicy": "IfNotPresent",
                "command": ["python", f"/script/{script}"],
                "env": env,
                "resources": RESOURCES,
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
                "volumeMounts": [
                    {"name": "script", "mountPath": "/script"},
                    {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108
                ],
            }
        ],
        "volumes": [
            {"name": "script", "configMap": {"name": name}},
            {"name": "tmp", "emptyDir": {}},
        ],
    }
