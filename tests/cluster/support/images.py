"""The images of a run: built by the script of `make images`, and loaded into the cluster.

BUILDER, REGISTRY, BUILD_ARGS and TAG are those of `make images`. LOAD is a command that takes an
image's name: `kind load docker-image`, `minikube image load`, `docker push`; without it, the
cluster must find the builder's images by itself. LOADED=1: those of an earlier run are there.
"""

import os
import shlex
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

from tests.cluster.support.commands import run
from tests.cluster.support.steps import Steps
from tests.images.services import ROOT, SERVICES
from tests.support.builds import BOTH_COMMANDS, CORE, package

TAG: Final = os.environ.get("TAG") or SERVICES[0].own[SERVICES[0].program]
# An older release, and two versions for upgrade and rollback.
BEFORE: Final = f"{TAG}-test-before"
OLD: Final = f"{TAG}-test-a"
NEW: Final = f"{TAG}-test-b"
_REGISTRY: Final = os.environ.get("REGISTRY") or ""
_SECONDS: Final = 900.0
_KEYS: Final = {"api": "api", "order_worker": "orderWorker", "shipping_worker": "shippingWorker"}
_ALL: Final = tuple(_KEYS)
# A good build passes it in 15 s, where the default takes 30 s to 60 s.
_SHORT_GATE: Final = {
    "versioning.gate.percent": "30",
    "versioning.gate.leastOrders": "8",
    "versioning.gate.leastSeconds": "12",
}


def image(folder: str, tag: str) -> str:
    """Return an image's name, with the registry."""
    program = next(service.program for service in SERVICES if service.folder == folder)
    return f"{_REGISTRY or 'docker.io/library'}/{program}:{tag}"


def values(tag: str, gate: Mapping[str, str] = _SHORT_GATE) -> dict[str, str]:
    """Return the chart's values for a version: the tag, the registry if one is set, the gate."""
    settings = {f"{key}.image.tag": tag for key in _KEYS.values()} | dict(gate)
    if _REGISTRY:
        for service in SERVICES:
            key = f"{_KEYS[service.folder]}.image.repository"
            settings[key] = f"{_REGISTRY}/{service.program}"
    return settings


def build(context: Path, tag: str, folders: Collection[str] = _ALL) -> None:
    env = {**os.environ, "TAG": tag, "IMAGES": " ".join(folders)}
    run(context / "services/images.sh", seconds=_SECONDS, env=env, cwd=ROOT)


def load(tag: str, folders: Collection[str] = _ALL) -> None:
    command = shlex.split(os.environ.get("LOAD") or "")
    if command:
        for folder in folders:
            run(*command, image(folder, tag), seconds=_SECONDS, cwd=ROOT)


def make_one(steps: Steps) -> None:
    """Build and load today's version, but for LOADED=1."""
    if os.environ.get("LOADED") == "1":
        return
    with steps.step("build and load three images") as step:
        build(ROOT, OLD)
        load(OLD)
        step.saw(tag=OLD)


def tree_of(commit: str, directory: Path) -> Path:
    """Write the chart and what images are built from as they were at a commit."""
    archive = directory / "tree.tar"
    paths = ("services", "charts/orderfleet", "LICENSE", ".dockerignore")
    # A shallow clone does not have the commit: fetch the rest of the history first.
    run("git", "archive", f"--output={archive}", commit, *paths, seconds=60, cwd=ROOT)
    run("tar", "--extract", f"--file={archive}", f"--directory={directory}", seconds=60)
    return directory


def changed_copy(directory: Path) -> Path:
    """Return a copy of the images' sources: other code, and more commands in both workflows."""
    services = copy(directory) / "services"
    BOTH_COMMANDS.apply(services)
    with (package(services, CORE) / "__init__.py").open("a") as module:
        module.write("# The next version.\n")
    return directory


def copy(directory: Path) -> Path:
    """Return a copy of the images' sources."""
    unwanted = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "services", directory / "services", ignore=unwanted)
    for name in ("LICENSE", ".dockerignore"):
        shutil.copy2(ROOT / name, directory)
    return directory
