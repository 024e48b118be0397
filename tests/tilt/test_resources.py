"""Every name in the Tiltfile exists in the rendered chart, in tilt/ or in the repository."""

import json
import os
import shlex
import subprocess
from collections.abc import Iterator
from typing import Any, Final

import pytest
import starlark
import yaml

from tests.chart.rendering import CHART, ROOT, Object, pods, title
from tests.tilt.recorder import Resource, Tilt, evaluate
from tests.tilt.repository import assert_target

pytestmark = pytest.mark.needs("helm")

WORKLOADS: Final = {"Deployment", "Job", "StatefulSet"}


@pytest.fixture(scope="module")
def tilt() -> Tilt:
    return evaluate()


def selector(found: Object) -> str:
    return f"{found['metadata']['name']}:{found['kind'].lower()}"


def workload_of(tilt: Tilt, resource: Resource) -> Object:
    (found,) = (
        manifest
        for manifest in tilt.objects
        if manifest["kind"] in WORKLOADS and manifest["metadata"]["name"] == resource.workload
    )
    return found


def test_each_object_is_in_one_resource(tilt: Tilt) -> None:
    resources = tilt.resources.values()
    workloads = [
        manifest["metadata"]["name"] for manifest in tilt.objects if manifest["kind"] in WORKLOADS
    ]
    assert sorted(resource.workload for resource in resources if resource.workload) == sorted(
        workloads
    )
    others = [
        selector(manifest)
        for manifest in tilt.objects
        if manifest["kind"] not in {*WORKLOADS, "Service"}
    ]
    assert sorted(name for resource in resources for name in resource.objects) == sorted(others)
    assert len(set(others)) == len(others)


def test_all_is_in_the_namespace(tilt: Tilt) -> None:
    (namespace,) = (
        manifest["metadata"]["name"] for manifest in tilt.objects if manifest["kind"] == "Namespace"
    )
    outside = [
        title(manifest)
        for manifest in tilt.objects
        if manifest["kind"] != "Namespace" and manifest["metadata"]["namespace"] != namespace
    ]
    assert outside == []


def test_secrets_have_what_is_asked_of_them(tilt: Tilt) -> None:
    keys = {
        manifest["metadata"]["name"]: manifest["stringData"].keys()
        for manifest in tilt.objects
        if manifest["kind"] == "Secret"
    }
    for pod in pods(tilt.objects):
        for container in pod.containers():
            for variable in container.get("env", []):
                asked = variable.get("valueFrom", {}).get("secretKeyRef")
                assert not asked or asked["key"] in keys[asked["name"]], pod.owner


def test_ports_are_those_of_the_containers(tilt: Tilt) -> None:
    given = [port for resource in tilt.resources.values() for port in resource.port_forwards]
    assert len({port["local"] for port in given}) == len(given)
    for resource in tilt.resources.values():
        if resource.port_forwards:
            (pod,) = pods([workload_of(tilt, resource)])
            there = {
                port["containerPort"]
                for container in pod.spec["containers"]
                for port in container.get("ports", [])
            }
            assert {port["container"] for port in resource.port_forwards} <= there, resource.name


def test_links(tilt: Tilt) -> None:
    links = {
        port["link"]: f"{port['local']}{port['path']}"
        for resource in tilt.resources.values()
        for port in resource.port_forwards
        if port["link"]
    }
    assert links == {
        "Board": "8000/board",
        "Temporal UI": "8233",
        "Grafana": "3000/dashboards",
        "Prometheus": "9090",
        "Jaeger": "16686",
    }


def test_resources_wait_for_others_that_are_there(tilt: Tilt) -> None:
    for resource in tilt.resources.values():
        assert set(resource.resource_deps) <= tilt.resources.keys() - {resource.name}
        if resource.workload:
            assert resource.resource_deps == ["base"]


def test_labels(tilt: Tilt) -> None:
    found: dict[str, list[str]] = {}
    for resource in tilt.resources.values():
        (label,) = resource.labels
        found.setdefault(label, []).append(resource.name)
    assert {label: sorted(names) for label, names in found.items()} == {
        "app": [
            *("api", "base", "migrate", "order-worker"),
            *("postgres", "shipping-worker"),
        ],
        "temporal": ["temporal", "temporal-namespace", "temporal-schema", "temporal-ui"],
        "observability": ["grafana", "jaeger", "prometheus"],
        "tools": [
            *("cancel", "flaky-off", "flaky-on", "helm-lint", "load", "order"),
            *("psql", "reset-data", "test-replay", "test-unit"),
        ],
    }


def test_a_job_of_ours_waits_to_be_asked(tilt: Tilt) -> None:
    built = {image.ref for image in tilt.images}
    for resource in tilt.resources.values():
        if resource.workload:
            found = workload_of(tilt, resource)
            (pod,) = pods([found])
            ours = {container["image"].rpartition(":")[0] for container in pod.containers()} & built
            manual = found["kind"] == "Job" and bool(ours)
            assert (resource.trigger_mode == "manual") is manual, resource.name


def buttons(tilt: Tilt) -> list[Resource]:
    return [resource for resource in tilt.resources.values() if resource.command]


def test_buttons_start_what_is_there(tilt: Tilt) -> None:
    for button in buttons(tilt):
        program, *arguments = button.command
        match program:
            case "make":
                (target,) = arguments
                assert_target(target)
            case "helm":
                for argument in arguments[1:]:
                    assert argument.startswith("--") or (ROOT / argument).exists(), argument
            case _:
                assert os.access(ROOT / program, os.X_OK), program


def test_buttons_wait_to_be_pressed_but_for_the_order_of_tilt_ci(tilt: Tilt) -> None:
    assert not [button.name for button in buttons(tilt) if button.auto_init]
    in_ci = evaluate(subcommand="ci")
    assert [button.name for button in buttons(in_ci) if button.auto_init] == ["order"]
    others = {resource.name for resource in in_ci.resources.values() if not resource.command}
    assert set(in_ci.resources["order"].resource_deps) == others


def test_buttons_use_the_forwarded_ports(tilt: Tilt) -> None:
    ports = {
        name: f"127.0.0.1:{tilt.resources[name].port_forwards[0]['local']}"
        for name in ("api", "temporal")
    }
    for button in buttons(tilt):
        assert button.env == {
            "CONTEXT": tilt.context,
            "ORDERFLEET_URL": f"http://{ports['api']}",
            "TEMPORAL_ADDRESS": ports["temporal"],
        }


def test_commands_at_evaluation(tilt: Tilt) -> None:
    assert [command[0] for command in tilt.commands] == ["make"]
    assert_target(tilt.commands[0][-1])


def test_values_are_the_chart_s(tilt: Tilt) -> None:
    known = yaml.safe_load((CHART / "values.yaml").read_text())
    assert tilt.values == ["tilt/values.yaml"]
    given = yaml.safe_load((ROOT / "tilt/values.yaml").read_text())
    switched = {switch.partition("=")[0] for switch in tilt.switches}
    for path in [*paths(given), *(tuple(key.split(".")) for key in switched)]:
        inner = known
        for key in path:
            assert key in inner, ".".join(path)
            inner = inner[key]


def paths(values: dict[str, Any], *above: str) -> Iterator[tuple[str, ...]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from paths(value, *above, key)
        else:
            yield (*above, key)


@pytest.mark.parametrize(
    "context", ["kind-kind", "kind-a", "k3d-a", "minikube", "docker-desktop", "test"]
)
def test_contexts_that_are_let_in(context: str) -> None:
    config = {"contexts": ["test"]} if context == "test" else {}
    assert evaluate(config, context=context).allowed == [context]


@pytest.mark.parametrize(
    "context", ["production", "my-kind-a", "kind", "minikube-2", "gke_a_b_c", "", "test"]
)
def test_other_contexts_are_refused(context: str) -> None:
    with pytest.raises(starlark.StarlarkError, match=f"context {context} is not a local cluster"):
        evaluate({"contexts": ["tes", "test-2", "*"]}, context=context)


def test_a_builder_that_is_none() -> None:
    with pytest.raises(starlark.StarlarkError, match="builder is docker, podman or buildah"):
        evaluate({"builder": "kaniko"})


def test_the_example_has_every_setting() -> None:
    example = json.loads((ROOT / "tilt/tilt_config.example.json").read_text())
    assert evaluate(example).defined.keys() == example.keys()


def test_the_config_is_the_user_s_own() -> None:
    asked = subprocess.run(
        shlex.split("git check-ignore --quiet tilt_config.json"), cwd=ROOT, check=False
    )
    assert asked.returncode == 0
