"""The chart as `helm template` renders it."""

import json
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

Object = dict[str, Any]

ROOT: Final = Path(__file__).parents[2]
CHART: Final = ROOT / "charts/orderfleet"
VALUES: Final = {
    path.name.removesuffix("-values.yaml"): path for path in sorted(CHART.glob("ci/*-values.yaml"))
}
_DEFAULTS: Final = yaml.safe_load((CHART / "values.yaml").read_text())
# The gates that the chart's defaults have.
GATES: Final = {"order-gate", "shipping-gate"} if _DEFAULTS["versioning"]["enabled"] else set()


class Pod(NamedTuple):
    """A pod as some object makes it."""

    owner: str
    labels: dict[str, str]
    annotations: dict[str, str]
    spec: Object

    def containers(self) -> list[Object]:
        """Return init containers too."""
        return [*self.spec.get("initContainers", []), *self.spec["containers"]]


def helm(
    command: str,
    *arguments: str,
    values: Mapping[str, Any] | None = None,
    release: str = "orderfleet",
) -> subprocess.CompletedProcess[str]:
    """Run helm on the chart; `values` are more of them."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        json.dump(values or {}, file)
        file.flush()
        name = [release] if command == "template" else []
        return subprocess.run(
            ["helm", command, *name, str(CHART), "--values", file.name, *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )


def template(
    *arguments: str, values: Mapping[str, Any] | None = None, release: str = "orderfleet"
) -> str:
    """Render the chart, its test included."""
    arguments = ("--namespace", "orderfleet", *arguments)
    done = helm("template", *arguments, values=values, release=release)
    assert done.returncode == 0, done.stderr
    return done.stdout


def render(values: Mapping[str, Any] | None = None) -> list[Object]:
    """Return the objects that more values than the defaults make."""
    return _objects(template(values=values))


@cache
def text_of(name: str) -> str:
    """Render one of the files of ci/."""
    return template("--values", str(VALUES[name]))


@cache
def objects_of(name: str) -> list[Object]:
    """Return the objects of one of the files of ci/. Change none of them."""
    return _objects(text_of(name))


def _objects(text: str) -> list[Object]:
    return [found for found in yaml.load_all(text, yaml.CSafeLoader) if found]


def title(found: Object) -> str:
    """Name an object in a message."""
    return f"{found['kind']}/{found['metadata']['name']}"


def named(objects: list[Object], kind: str, name: str) -> Object:
    """Return one object; a Job is found without its hash."""
    (found,) = (
        found
        for found in objects
        if found["kind"] == kind
        and name in {found["metadata"]["name"], found["metadata"]["name"].rpartition("-")[0]}
    )
    return found


def pods(objects: list[Object]) -> Iterator[Pod]:
    """Yield the pods that the objects make."""
    for found in objects:
        spec = found.get("spec", {})
        # A CronJob has a Job's template, which has the pod's.
        made = spec.get("jobTemplate", {}).get("spec", spec) if isinstance(spec, dict) else {}
        pod = found if found["kind"] == "Pod" else made.get("template")
        if pod:
            metadata = pod["metadata"]
            labels, annotations = metadata.get("labels", {}), metadata.get("annotations", {})
            yield Pod(title(found), labels, annotations, pod["spec"])
