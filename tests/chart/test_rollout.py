"""What restarts pods, what does not, and which parts there are."""

from typing import Any

import pytest

from tests.chart.rendering import GATES, VALUES, Object, named, objects_of, pods, render

pytestmark = pytest.mark.needs("helm")

SERVICES = {"api", "order-worker", "shipping-worker"}
OWN = {"postgres", "temporal", "temporal-schema", "temporal-ui"}
WORKERS = {"order-worker", "shipping-worker"}
_READ_PARTITIONS = "matching.numTaskqueueReadPartitions"
PARTS = SERVICES | OWN | GATES | {"migrate", "temporal-namespace", "test"}
WITHOUT = {
    "api-key": OWN - {"postgres"} | {"temporal-namespace"},
    "external": OWN,
    "external-postgres": {"postgres"},
    "keda": OWN - {"postgres"},
    "keda-zero": GATES,
    "mtls": OWN - {"postgres"},
    "temporal-two-replicas": {"temporal-ui"},
}
BACKUP = {"backup", "restore"}
MORE = {
    "backup": BACKUP | {"backup-volume"},
    "backup-s3": BACKUP,
    "versioning": {"order-gate", "shipping-gate"},
}


def templates(values: dict[str, Any] | None = None) -> dict[str, Object]:
    """Return the pod template of every workload that Kubernetes keeps running."""
    return {
        found["metadata"]["labels"]["app.kubernetes.io/component"]: found["spec"]["template"]
        for found in render(values)
        if found["kind"] in {"Deployment", "StatefulSet"}
    }


@pytest.fixture(scope="module")
def before() -> dict[str, Object]:
    found = templates()
    assert set(found) == SERVICES | {"postgres", "temporal", "temporal-ui"}
    return found


@pytest.mark.parametrize(
    ("restarted", "values"),
    [
        (SERVICES, {"logLevel": "debug"}),
        # Workers that are versions wait so long for their orders.
        ({"api"} | (WORKERS if GATES else set()), {"orders": {"deadlineSeconds": 20}}),
        (WORKERS, {"versioning": {"enabled": not GATES}}),
        (WORKERS, {"versioning": {"promotion": "self"}}),
        (set(), {"versioning": {"gate": {"percent": 20}}}),
        ({"order-worker"}, {"orderWorker": {"reconcileSeconds": 5}}),
        ({"shipping-worker"}, {"shippingWorker": {"carrierUrl": "https://carrier"}}),
        ({"temporal"}, {"temporal": {"dynamicConfig": {"limit.maxIDLength": [{"value": 255}]}}}),
        (set(), {"temporal": {"dynamicConfig": {_READ_PARTITIONS: [{"value": 4}]}}}),
        (set(), {"api": {"replicas": 5}, "orderWorker": {"replicas": 3}}),
        (set(), {"autoscaling": {"mode": "hpa"}}),
        (set(), {"global": {"networkPolicy": {"enabled": False}}}),
        (set(), {"api": {"service": {"port": 81}, "ingress": {"enabled": True}}}),
    ],
)
def test_a_change_restarts_whom_it_concerns(
    restarted: set[str], values: dict[str, Any], before: dict[str, Object]
) -> None:
    after = templates(values)
    assert {component for component in before if after[component] != before[component]} == restarted


def test_the_checksum_is_what_restarts(before: dict[str, Object]) -> None:
    after = templates({"logLevel": "debug"})
    for component in SERVICES:
        old, new = (found[component]["metadata"]["annotations"] for found in (before, after))
        assert old["checksum/config"] != new["checksum/config"]
        assert after[component]["spec"] == before[component]["spec"]


@pytest.mark.parametrize("name", VALUES)
def test_parts(name: str) -> None:
    found = {pod.labels["app.kubernetes.io/component"] for pod in pods(objects_of(name))}
    assert found == PARTS - WITHOUT.get(name, set()) | MORE.get(name, set())


@pytest.mark.parametrize("name", VALUES)
def test_what_a_pod_mounts_is_there(name: str) -> None:
    objects = objects_of(name)
    for pod in pods(objects):
        volumes = {volume["name"] for volume in pod.spec.get("volumes", [])}
        if pod.owner.startswith("StatefulSet/"):
            claims = named(objects, *pod.owner.split("/", 1))["spec"]["volumeClaimTemplates"]
            volumes |= {claim["metadata"]["name"] for claim in claims}
        mounted = {
            mount["name"]
            for container in pod.containers()
            for mount in container.get("volumeMounts", [])
        }
        assert mounted == volumes, pod.owner


@pytest.mark.parametrize("name", VALUES)
def test_config_maps_that_are_named_are_there(name: str) -> None:
    objects = objects_of(name)
    there = {found["metadata"]["name"] for found in objects if found["kind"] == "ConfigMap"}
    named_by_pods = {
        source["configMapRef"]["name"]
        for pod in pods(objects)
        for container in pod.containers()
        for source in container.get("envFrom", [])
        if not source["configMapRef"].get("optional")
    } | {
        volume["configMap"]["name"]
        for pod in pods(objects)
        for volume in pod.spec.get("volumes", [])
        if "configMap" in volume
    }
    assert named_by_pods <= there
