"""The plain manifests: `kubectl apply -k` of the dev overlay, in the module's own namespace."""

import os
import shutil
import sys
from pathlib import Path
from typing import Final

import pytest
import yaml

from tests.cluster.support import images
from tests.cluster.support.cluster import Json, Namespace
from tests.cluster.support.commands import run, wait_until
from tests.cluster.support.release import Release
from tests.cluster.support.shop import balanced
from tests.cluster.support.steps import Steps
from tests.images.services import ROOT, SERVICES

pytestmark = pytest.mark.timeout(600)

_APPLY_SECONDS: Final = 60.0
_READY_SECONDS: Final = 300.0
_ANYBODY: Final = 1000680000
# Nobody places orders meanwhile: the default of 30 s shows no more.
_GATE_SECONDS: Final = "5"


async def test_dev_overlay(own_namespace: Namespace, steps: Steps, tmp_path: Path) -> None:
    namespace = own_namespace
    with steps.step("kubectl apply -k k8s/overlays/dev, twice") as step:
        overlay = _overlay(tmp_path, namespace)
        _apply(namespace, overlay)
        wait_until("all is up", lambda: _not_up(namespace), lambda found: not found, _READY_SECONDS)
        running = sorted(namespace.pods())
        again = _apply(namespace, overlay)
        # `configured` means that something was sent, not that it changed anything: a new Job would
        # be created, and a new template would start new pods.
        assert not [line for line in again if line.endswith(" created")]
        assert not _not_up(namespace)
        assert sorted(namespace.pods()) == running
        fleet = Release(namespace)
        await _fulfils(fleet)
        step.saw(objects=len(again))
    with steps.step("kubectl apply -k with a new tag") as step:
        before = _names(namespace, "jobs")
        _tag(overlay, images.NEW)
        _apply(namespace, overlay)
        fleet.until_all_run(images.NEW)
        wait_until("all is up", lambda: _not_up(namespace), lambda found: not found, _READY_SECONDS)
        # A Job is immutable: another image creates another Job, and the other Jobs stay.
        jobs = sorted(_names(namespace, "jobs") - before)
        assert [job.rpartition("-")[0].removeprefix("orderfleet-") for job in jobs] == [
            "migrate",
            "order-gate",
            "shipping-gate",
        ]
        await _fulfils(fleet)
        step.saw(jobs=jobs)


async def _fulfils(fleet: Release) -> None:
    async with fleet.shop() as shop, fleet.books() as pool:
        order_id = await shop.place("plain")
        order = await shop.ended(order_id)
        assert order["state"] == "fulfilled", order
        await balanced(pool, [order_id])


def _names(namespace: Namespace, kind: str) -> set[str]:
    return {manifest["metadata"]["name"] for manifest in namespace.get(kind)}


def _overlay(directory: Path, namespace: Namespace) -> Path:
    """Make an overlay of a copy of the dev overlay, with this run's names and its own secrets."""
    shutil.copytree(ROOT / "k8s", directory / "k8s", ignore=shutil.ignore_patterns("*.env"))
    run(sys.executable, directory / "k8s/dev_secrets.py", seconds=_APPLY_SECONDS)
    rename = [{"op": "replace", "path": "/metadata/name", "value": namespace.name}]
    pod = "/spec/template/spec/securityContext"
    # As on OpenShift: an arbitrary user, of group 0. Not Postgres: initdb needs a name for the
    # user, which the official image provides, but a stand-in may not.
    anybody = [
        {"op": "replace", "path": f"{pod}/runAsUser", "value": _ANYBODY},
        {"op": "replace", "path": f"{pod}/runAsGroup", "value": 0},
        {"op": "replace", "path": f"{pod}/fsGroup", "value": _ANYBODY},
    ]
    overlay = directory / "k8s/overlays/test"
    overlay.mkdir()
    (overlay / "kustomization.yaml").write_text(
        yaml.safe_dump(
            {
                "namespace": namespace.name,
                "resources": ["../dev"],
                "patches": [
                    {"target": {"kind": "Namespace"}, "patch": yaml.safe_dump(rename)},
                    *(
                        {"target": {"kind": kind}, "patch": yaml.safe_dump(anybody)}
                        for kind in ("Deployment", "Job")
                    ),
                    *({"patch": _gate_patch(gate)} for gate in ("order-gate", "shipping-gate")),
                ],
            }
        )
    )
    _tag(overlay, images.OLD)
    return overlay


def _gate_patch(gate: str) -> str:
    env = [{"name": "ORDERFLEET_GATE_LEAST_SECONDS", "value": _GATE_SECONDS}]
    pod = {"spec": {"containers": [{"name": gate, "env": env}]}}
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": f"orderfleet-{gate}"}}
    return yaml.safe_dump(job | {"spec": {"template": pod}})


def _tag(overlay: Path, tag: str) -> None:
    """Do what `kustomize edit set image` does for each service."""
    file = overlay / "kustomization.yaml"
    registry = os.environ.get("REGISTRY")
    named = [
        {
            "name": service.program,
            "newTag": tag,
            **({"newName": f"{registry}/{service.program}"} if registry else {}),
        }
        for service in SERVICES
    ]
    file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | {"images": named}))


def _apply(namespace: Namespace, overlay: Path) -> list[str]:
    rendered: list[Json] = [
        manifest
        for manifest in yaml.safe_load_all(namespace.cluster.kubectl("kustomize", str(overlay)))
        if manifest
    ]
    # Nothing may be applied outside of the namespace.
    elsewhere = {
        manifest["metadata"].get("namespace", manifest["metadata"]["name"]) for manifest in rendered
    } - {namespace.name}
    assert not elsewhere, f"outside {namespace.name}: {elsewhere}"
    applied = namespace.cluster.kubectl("apply", "-k", str(overlay), seconds=_APPLY_SECONDS)
    return applied.splitlines()


def _not_up(namespace: Namespace) -> list[str]:
    """Return the names of workloads that are not ready and of Jobs that are not complete."""
    wanted = [
        (workload["metadata"]["name"], workload["status"].get("readyReplicas", 0), workload["spec"])
        for kind in ("deployments", "statefulsets")
        for workload in namespace.get(kind)
    ]
    waiting = [name for name, ready, spec in wanted if ready != spec["replicas"]]
    jobs = namespace.get("jobs")
    waiting += [job["metadata"]["name"] for job in jobs if not job["status"].get("succeeded")]
    return waiting
