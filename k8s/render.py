"""Renders the chart into kustomize bases beside this file: base/, temporal/ and postgres/.

The scalers are a kustomize component, keda/. `make k8s` writes a file for each component of the
chart; `--check` only checks whether the files are up to date.
"""

import argparse
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
KEDA: Final = Path("keda")
CHART: Final = HERE.parent / "charts/orderfleet"
COMMAND: Final = (
    *("helm", "template", "orderfleet", str(CHART)),
    *("--namespace", "orderfleet-dev", "--skip-tests", "--values", str(HERE / "values.yaml")),
)
# The queries name the namespace and the pods of base/; an overlay sets the address of Prometheus.
SCALED: Final = (
    *("--set", "autoscaling.mode=keda"),
    *("--set", "autoscaling.prometheus.address=http://prometheus.monitoring:9090"),
)
MADE: Final = "# Made from the chart by `make k8s`; do not edit.\n"
KUSTOMIZATION: Final = """\
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
labels:
  - pairs:
      app.kubernetes.io/managed-by: kustomize
resources:
"""
COMPONENT_OF_KUSTOMIZE: Final = """\
apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
patches:
  # Whoever scales sets the number.
  - target:
      kind: Deployment
      name: orderfleet-(api|order-worker|shipping-worker)
    patch: |
      - {op: remove, path: /spec/replicas}
resources:
"""
# Labels to remove, which would be wrong: kustomize applies these files, and an overlay may change
# the images.
LABELS: Final = re.compile(
    r"^ +(?:helm\.sh/chart: .*|app\.kubernetes\.io/(?:managed-by: Helm|version: .*))\n",
    re.MULTILINE,
)
# The chart names a Job by a hash of its pod, but a patch or a tag in an overlay changes the pod,
# and a Job is immutable. So kustomize adds the hash after all other changes. An internal annotation
# requests the hash, and kustomize removes that annotation. (The official annotation,
# `kustomize.config.k8s.io/needs-hash`, has no effect in files: kubernetes-sigs/kustomize#4833.)
# A ConfigMap gets the hash too, so that the pods that read the ConfigMap change with its name.
HASHED: Final = re.compile(
    r"^(kind: (?:ConfigMap|Job)\nmetadata:\n  name: \S+?)(?:-[0-9a-f]{8})?(\"?)\n", re.MULTILINE
)
ANNOTATED: Final = (
    "\\1\\2\n  annotations:\n    internal.config.kubernetes.io/needsHashSuffix: enabled\n"
)
COMPONENT: Final = re.compile(r"^    app\.kubernetes\.io/component: \"?([\w-]+)\"?$", re.MULTILINE)


class WrongError(Exception):
    """An error message for the user."""


def rendered(*more: str) -> str:
    """Return the chart as helm renders it."""
    try:
        done = subprocess.run((*COMMAND, *more), capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise WrongError("helm is not installed: https://helm.sh/docs/intro/install") from None
    if done.returncode:
        raise WrongError(done.stderr.strip())
    return done.stdout


def files_of(text: str, scaled: str) -> dict[Path, str]:
    """Split a rendering into files, by sub-chart and component, and list them for kustomize.

    Args:
        text: the rendering without the scalers.
        scaled: the rendering with the scalers, the only objects used from this rendering.
    """
    objects: dict[Path, list[str]] = defaultdict(list)
    for source, body in documents_of(text):
        sub_chart = re.match(r"# Source: \w+/charts/(\w+)/", source)
        directory = Path(sub_chart[1] if sub_chart else "base")
        found = HASHED.sub(ANNOTATED, LABELS.sub("", body))
        objects[directory / f"{component_of(source, body)}.yaml"].append(found)
    for source, body in documents_of(scaled):
        if "\nkind: ScaledObject\n" in body:
            # Label here: the component's kustomization would label all other objects, too.
            found = LABELS.sub("", body.replace("managed-by: Helm", "managed-by: kustomize"))
            objects[KEDA / f"{component_of(source, body)}.yaml"].append(found)
    files = {path: MADE + "---\n".join(parts) for path, parts in objects.items()}
    for directory in {path.parent for path in files}:
        names = sorted(path.name for path in objects if path.parent == directory)
        resources = "".join(f"  - {name}\n" for name in names)
        head = COMPONENT_OF_KUSTOMIZE if directory == KEDA else KUSTOMIZATION
        files[directory / "kustomization.yaml"] = MADE + head + resources
    return files


def documents_of(text: str) -> Iterator[tuple[str, str]]:
    """Yield the objects of a rendering, each with the line that names its template."""
    for document in re.split(r"^---\n", text, flags=re.MULTILINE):
        source, _, body = document.strip().partition("\n")
        # Skip the rest of the chart's test, which only Helm runs.
        if body and "/templates/tests/" not in source:
            yield source, body + "\n"


def component_of(source: str, body: str) -> str:
    """Return the component that an object belongs to."""
    component = COMPONENT.search(body)
    if not component:
        raise WrongError(f"{source} has an object without a component")
    return component[1]


def main() -> None:
    """Write the files that are out of date, or print their names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="only check; exit with 1 on a difference"
    )
    check: bool = parser.parse_args().check
    try:
        wanted = files_of(rendered(), rendered(*SCALED))
    except WrongError as error:
        sys.exit(f"k8s: {error}")
    there = {
        path.relative_to(HERE): path.read_text()
        for directory in {path.parent for path in wanted}
        for path in (HERE / directory).glob("*")
    }
    stale = sorted(path for path in wanted | there if wanted.get(path) != there.get(path))
    for path in stale:
        if check:
            print(f"k8s/{path} is out of date: run `make k8s`", file=sys.stderr)
        elif path in wanted:
            (HERE / path).parent.mkdir(exist_ok=True)
            (HERE / path).write_text(wanted[path])
        else:
            (HERE / path).unlink()
    sys.exit(bool(stale and check))


if __name__ == "__main__":
    main()
