"""The fields that values set in every pod: charts/pod_fields.py lists them."""

import re
from collections.abc import Callable
from typing import Any, Final

import pytest

from charts.pod_fields import FIELDS, PODS
from tests.chart.rendering import VALUES, Object, Pod, named, objects_of, pods, render, title

pytestmark = pytest.mark.needs("helm")

# Every field, set to what no pod has by itself.
SET: Final[dict[str, Any]] = {
    "podLabels": {"example.com/team": "orders"},
    "podAnnotations": {"example.com/inject": "yes"},
    "podSecurityContext": {"fsGroup": 1_000_680_000, "runAsUser": None},
    "containerSecurityContext": {"readOnlyRootFilesystem": False, "capabilities": None},
    "extraContainers": [{"name": "sidecar", "image": "sidecar:1"}],
    "extraInitContainers": [{"name": "proxy", "image": "proxy:1", "restartPolicy": "Always"}],
    "extraEnv": [{"name": "EXTRA", "value": "1"}],
    "extraEnvFrom": [{"configMapRef": {"name": "extra"}}],
    "extraVolumes": [{"name": "extra", "emptyDir": {}}],
    "extraVolumeMounts": [{"name": "extra", "mountPath": "/extra"}],
    "startupProbe": {"failureThreshold": 1000},
    "livenessProbe": {"timeoutSeconds": 17},
    "readinessProbe": {"exec": {"command": ["true"]}},
    "nodeSelector": {"example.com/pool": "orders"},
    "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
    "tolerations": [{"key": "example.com/pool", "operator": "Exists"}],
    "priorityClassName": "high",
    "runtimeClassName": "gvisor",
    "dnsPolicy": "None",
    "dnsConfig": {"nameservers": ["10.0.0.53"]},
    "hostAliases": [{"ip": "10.0.0.7", "hostnames": ["payments.internal"]}],
}
WORKER: Final = {"extraEnv", "extraEnvFrom", "extraVolumes", "extraVolumeMounts"}


def own(pod: Pod) -> list[Object]:
    """Return the chart's own containers."""
    return [each for each in pod.containers() if each["name"] not in {"sidecar", "proxy"}]


def main(pod: Pod) -> Object:
    container: Object = pod.spec["containers"][0]
    return container


def of_containers(field: str, name: str) -> Callable[[Pod], bool]:
    return lambda pod: all(SET[name][0] in each.get(field, []) for each in own(pod))


def probe(name: str) -> Callable[[Pod], bool]:
    return lambda pod: (
        name not in main(pod)
        if "restartPolicy" in pod.spec
        else SET[name].items() <= main(pod)[name].items()
    )


def in_spec(name: str) -> Callable[[Pod], bool]:
    return lambda pod: bool(pod.spec[name] == SET[name])


ALIKE: Final = (
    *("affinity", "priorityClassName", "runtimeClassName"),
    *("dnsPolicy", "dnsConfig", "hostAliases"),
)
SEEN: Final[dict[str, Callable[[Pod], bool]]] = {
    "podLabels": lambda pod: SET["podLabels"].items() <= pod.labels.items(),
    "podAnnotations": lambda pod: SET["podAnnotations"].items() <= pod.annotations.items(),
    "podSecurityContext": lambda pod: (
        pod.spec["securityContext"]["fsGroup"] == 1_000_680_000
        and pod.spec["securityContext"].keys() >= {"runAsNonRoot", "runAsGroup"}
        and "runAsUser" not in pod.spec["securityContext"]
    ),
    "containerSecurityContext": lambda pod: all(
        each["securityContext"]
        == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": False}
        for each in own(pod)
    ),
    "extraContainers": lambda pod: pod.spec["containers"][-1] == SET["extraContainers"][0],
    # Before the chart's own, which may wait for what this one reaches.
    "extraInitContainers": lambda pod: (
        pod.spec["initContainers"][0] == SET["extraInitContainers"][0]
    ),
    "extraEnv": of_containers("env", "extraEnv"),
    "extraEnvFrom": of_containers("envFrom", "extraEnvFrom"),
    "extraVolumes": lambda pod: SET["extraVolumes"][0] in pod.spec["volumes"],
    "extraVolumeMounts": of_containers("volumeMounts", "extraVolumeMounts"),
    "startupProbe": probe("startupProbe"),
    "livenessProbe": probe("livenessProbe"),
    "readinessProbe": lambda pod: (
        probe("readinessProbe")(pod)
        and not main(pod).get("readinessProbe", {}).keys() & {"httpGet", "grpc", "tcpSocket"}
    ),
    "tolerations": lambda pod: SET["tolerations"][0] in pod.spec["tolerations"],
    "nodeSelector": lambda pod: SET["nodeSelector"].items() <= pod.spec["nodeSelector"].items(),
} | {name: in_spec(name) for name in ALIKE}


def by_component(objects: list[Object]) -> dict[str, Pod]:
    return {pod.labels["app.kubernetes.io/component"]: pod for pod in pods(objects)}


def test_every_field_is_tested() -> None:
    assert FIELDS.keys() == SET.keys() == SEEN.keys()


def test_every_pod_has_every_field() -> None:
    objects = by_component(render({"global": {"pods": SET}}))
    assert objects.keys() == by_component(objects_of("default")).keys()
    unseen = {
        component: [name for name, seen in SEEN.items() if not seen(pod)]
        for component, pod in objects.items()
    }
    assert not {component: names for component, names in unseen.items() if names}


JOBS: Final = {
    "migrate",
    "order-gate",
    "shipping-gate",
    "temporal-namespace",
    "temporal-schema",
    "test",
}
OF: Final = {
    "global.jobs": JOBS,
    "api": {"api"},
    "orderWorker": {"order-worker"},
    "shippingWorker": {"shipping-worker"},
    "postgres": {"postgres"},
    "temporal": {"temporal"},
    "temporal.ui": {"temporal-ui"},
}


def below(path: str, values: Any) -> dict[str, Any]:
    for key in reversed(path.split(".")):
        values = {key: values}
    return dict(values)


@pytest.mark.parametrize("path", [path for path in PODS if path != "global.pods"])
def test_a_component_has_fields_of_its_own(path: str) -> None:
    before, after = by_component(objects_of("default")), by_component(render(below(path, SET)))
    for component in OF[path]:
        assert [name for name, seen in SEEN.items() if not seen(after[component])] == []
    others = {component for component in before if after[component] != before[component]}
    # A gate reaches what its worker reaches; the UI runs where Temporal runs.
    more = {
        "orderWorker": {"order-gate"},
        "shippingWorker": {"shipping-gate"},
        "temporal": {"temporal-ui"},
    }.get(path, set())
    assert others == OF[path] | more
    for component in more & JOBS:
        assert all(SEEN[name](after[component]) for name in WORKER)
        assert "hostAliases" not in after[component].spec


def test_null_leaves_it_to_the_platform() -> None:
    fields = dict.fromkeys(FIELDS)
    for pod in pods(render({"global": {"pods": fields}})):
        assert "securityContext" not in pod.spec, pod.owner
        for container in pod.containers():
            assert not container.keys() & {"securityContext", *(f for f in FIELDS if "Probe" in f)}


def test_null_of_a_component_removes_that_of_all() -> None:
    sidecars = {"extraContainers": SET["extraContainers"]}
    jobs = {"extraContainers": None, "containerSecurityContext": None}
    found = by_component(render({"global": {"pods": sidecars, "jobs": jobs}}))
    with_sidecar = {name for name, pod in found.items() if SEEN["extraContainers"](pod)}
    assert with_sidecar == found.keys() - JOBS
    assert "securityContext" not in main(found["migrate"])
    assert "securityContext" in main(found["api"])


def test_the_nearer_value_wins() -> None:
    every = {
        "extraEnv": [{"name": "A", "value": "all"}, {"name": "B", "value": "all"}],
        "tolerations": [{"key": "all"}],
        "nodeSelector": {"a": "all", "b": "all"},
        "priorityClassName": "all",
        "livenessProbe": {"timeoutSeconds": 7, "periodSeconds": 7},
    }
    api = {
        "extraEnv": [{"name": "A", "value": "api"}, {"name": "ORDERFLEET_START_WAIT_SECONDS"}],
        "tolerations": [{"key": "api"}],
        "nodeSelector": {"a": "api"},
        "priorityClassName": "api",
        "livenessProbe": {"timeoutSeconds": 8},
    }
    found = by_component(render({"global": {"pods": every}, "api": api}))["api"]
    env = [(each["name"], each.get("value")) for each in own(found)[0]["env"]]
    assert [pair for pair in env if pair[0] in "AB"] == [("B", "all"), ("A", "api")]
    # No name twice, which the API server refuses.
    assert len({name for name, _ in env}) == len(env)
    # After the chart's own.
    assert found.spec["tolerations"][-2:] == [{"key": "all"}, {"key": "api"}]
    assert found.spec["nodeSelector"] == {"a": "api", "b": "all"}
    assert found.spec["priorityClassName"] == "api"
    liveness = main(found)["livenessProbe"]
    assert (liveness["timeoutSeconds"], liveness["periodSeconds"]) == (8, 7)
    assert liveness["httpGet"]["path"] == "/livez"


ANY_USER: Final[list[dict[str, Any]]] = [
    {"fixedIds": False},
    {"pods": {"podSecurityContext": None}},
]


@pytest.mark.parametrize("values", ANY_USER, ids=["fixedIds", "null"])
def test_any_user_can_run_every_pod(values: dict[str, Any]) -> None:
    """Written is to volumes alone, and what is mounted can be read by everybody."""
    for pod in pods(render({"global": values})):
        assert not pod.spec.get("securityContext", {}).keys() & {"runAsUser", "fsGroup"}
        volumes = {each["name"]: each for each in pod.spec.get("volumes", [])}
        for container in pod.containers():
            assert container["securityContext"]["readOnlyRootFilesystem"] is True, pod.owner
            for mount in container.get("volumeMounts", []):
                volume = volumes.get(mount["name"], {"persistentVolumeClaim": {}})
                secret = volume.get("secret", {})
                assert secret.get("defaultMode", 0o644) & 0o004, (pod.owner, mount)
                # All may write to an emptyDir; the platform's own group to a claim.
                written = volume.keys() & {"emptyDir", "persistentVolumeClaim"}
                assert mount.get("readOnly") or written, (pod.owner, mount)


def test_every_object_has_the_common_annotations_and_the_namespace() -> None:
    common = {"example.com/owner": "orders", "helm.sh/resource-policy": "delete"}
    everything = {"global": {"commonAnnotations": common, "namespaceOverride": "shop"}}
    # Those that a user writes are as written.
    monitored = {
        "dashboards": {"enabled": True},
        "alerts": {"enabled": True},
        "podMonitor": {"enabled": True},
        "api": {"ingress": {"enabled": True}, "service": {"annotations": {"a": "b"}}},
        "autoscaling": {"mode": "keda", "prometheus": {"address": "http://prometheus:9090"}},
    }
    objects = render(everything | monitored)
    for found in objects:
        annotations = found["metadata"].get("annotations", {})
        assert annotations["example.com/owner"] == "orders", title(found)
        assert found["metadata"]["namespace"] == "shop", title(found)
        # The object's own wins.
        policy = "keep" if found["kind"] == "Secret" else "delete"
        assert annotations["helm.sh/resource-policy"] == policy
    service = named(objects, "Service", "orderfleet-api")
    assert service["metadata"]["annotations"]["a"] == "b"
    # Pods that are there are not replaced for it, and a claim's template cannot change.
    assert all(
        "example.com/owner" not in pod.annotations
        for pod in pods(objects)
        if "Pod/" not in pod.owner
    )
    (claim,) = named(objects, "StatefulSet", "orderfleet-postgres")["spec"]["volumeClaimTemplates"]
    assert "annotations" not in claim["metadata"]
    # What looks for the pods looks there.
    for kind in ("ScaledObject", "PrometheusRule"):
        for found in (each for each in objects if each["kind"] == kind):
            assert set(re.findall(r'namespace="(\w+)"', str(found["spec"]))) == {"shop"}


def test_revisions_are_kept_as_often_as_it_says() -> None:
    kinds = {"Deployment", "StatefulSet"}
    found = [
        each for each in render({"global": {"revisionHistoryLimit": 7}}) if each["kind"] in kinds
    ]
    assert {each["spec"]["revisionHistoryLimit"] for each in found} == {7}
    assert len(found) == 6


@pytest.mark.parametrize("name", VALUES)
def test_no_name_of_a_volume_or_variable_twice(name: str) -> None:
    for pod in pods(objects_of(name)):
        volumes = [each["name"] for each in pod.spec.get("volumes", [])]
        assert len(volumes) == len(set(volumes)), pod.owner
        for container in pod.containers():
            env = [each["name"] for each in container.get("env", [])]
            assert len(env) == len(set(env)), (pod.owner, container["name"])
