"""Controls of Kubescape, over every rendering; each test is named by what it forbids.

C-0270 wants CPU limits: there are none by decision, see the chart's README.
"""

import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.chart.rendering import GATES, VALUES, Object, Pod, objects_of, pods, title

pytestmark = pytest.mark.needs("helm")

Control = Callable[[list[Object]], list[str]]
CONTROLS: dict[str, Control] = {}
# Where api.networkPolicy is off there is nothing to look at.
WITHOUT_POLICIES = {"open-api"}
SECRET = re.compile(r"passw|pwd|secret|token|api_?keys?$|credential|private", re.IGNORECASE)


def control(*names: str) -> Callable[[Control], Control]:
    def add(check: Control) -> Control:
        CONTROLS.update(dict.fromkeys(names, check))
        return check

    return add


def of_containers(wrong: Callable[[Pod, Object], Any]) -> Control:
    def check(objects: list[Object]) -> list[str]:
        return [
            f"{pod.owner}: container {container['name']}"
            for pod in pods(objects)
            for container in pod.containers()
            if wrong(pod, container)
        ]

    return check


def of_pods(wrong: Callable[[Pod], Any]) -> Control:
    return lambda objects: [pod.owner for pod in pods(objects) if wrong(pod)]


def security(container: Object) -> Object:
    found: Object = container.get("securityContext", {})
    return found


@control("C-0002", "C-0035")
def no_rights_in_the_cluster(objects: list[Object]) -> list[str]:
    return [title(one) for one in objects if one["apiVersion"].startswith("rbac.")]


def _names_a_file(variable: Object) -> bool:
    """Tell whether a variable holds the path of a mounted Secret's file, not its content."""
    name, value = str(variable["name"]), str(variable["value"])
    return name.endswith("_FILE") and value.startswith("/etc/orderfleet/")


@control("C-0012")
def no_credentials_in_plain_sight(objects: list[Object]) -> list[str]:
    config = [
        f"{title(found)}: {key}"
        for found in objects
        if found["kind"] == "ConfigMap"
        for key in found["data"]
        if SECRET.search(key)
    ]
    plain = [
        f"{pod.owner}: {variable['name']}"
        for pod in pods(objects)
        for container in pod.containers()
        for variable in container.get("env", [])
        if SECRET.search(variable["name"])
        and variable.get("value", "true") != "true"
        and not _names_a_file(variable)
    ]
    return config + plain


CONTROLS["C-0013"] = of_pods(
    lambda pod: (
        pod.spec["securityContext"].get("runAsNonRoot") is not True
        or not pod.spec["securityContext"].get("runAsUser")
        or not pod.spec["securityContext"].get("runAsGroup")
        or any(
            security(container).keys() & {"runAsNonRoot", "runAsUser", "runAsGroup"}
            for container in pod.containers()
        )
    )
)
CONTROLS["C-0016"] = of_containers(
    lambda _, container: security(container).get("allowPrivilegeEscalation") is not False
)
CONTROLS["C-0017"] = of_containers(
    lambda _, container: security(container).get("readOnlyRootFilesystem") is not True
)


@control("C-0030", "C-0054")
def a_policy_for_both_directions(objects: list[Object]) -> list[str]:
    policies = [found["spec"] for found in objects if found["kind"] == "NetworkPolicy"]
    return [
        pod.owner
        for pod in pods(objects)
        if {"Ingress", "Egress"}
        - {
            kind
            for policy in policies
            if policy["podSelector"]["matchLabels"].items() <= pod.labels.items()
            for kind in policy["policyTypes"]
        }
    ]


@control("C-0034")
def no_service_account_token(objects: list[Object]) -> list[str]:
    accounts = [found for found in objects if found["kind"] == "ServiceAccount"]
    named = {found["metadata"]["name"] for found in accounts}
    return [
        title(found) for found in accounts if found.get("automountServiceAccountToken") is not False
    ] + [
        pod.owner
        for pod in pods(objects)
        if pod.spec.get("automountServiceAccountToken") is not False
        or pod.spec.get("serviceAccountName") not in named
    ]


CONTROLS["C-0038"] = of_pods(lambda pod: pod.spec.keys() & {"hostPID", "hostIPC"})
CONTROLS["C-0041"] = of_pods(lambda pod: "hostNetwork" in pod.spec)
CONTROLS["C-0044"] = of_containers(
    lambda _, container: any("hostPort" in port for port in container.get("ports", []))
)
CONTROLS["C-0046"] = of_containers(
    lambda _, container: security(container).get("capabilities") != {"drop": ["ALL"]}
)
CONTROLS["C-0055"] = of_containers(
    lambda pod, container: (
        pod.spec["securityContext"].get("seccompProfile") != {"type": "RuntimeDefault"}
        or "seccompProfile" in security(container)
    )
)
CONTROLS["C-0057"] = of_containers(lambda _, container: "privileged" in security(container))
CONTROLS["C-0270"] = of_containers(
    lambda _, container: (
        not container.get("resources", {}).get("requests", {}).get("cpu")
        or "cpu" in container["resources"].get("limits", {})
    )
)
CONTROLS["C-0271"] = of_containers(
    lambda _, container: (
        not (
            container.get("resources", {}).get("limits", {}).get("memory")
            and container["resources"].get("requests", {}).get("memory")
        )
    )
)


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("number", sorted(CONTROLS))
def test_control(number: str, name: str) -> None:
    if number in {"C-0030", "C-0054"} and name in WITHOUT_POLICIES:
        assert not [one for one in objects_of(name) if one["kind"] == "NetworkPolicy"]
        return
    assert CONTROLS[number](objects_of(name)) == []


def test_all_controls_are_there() -> None:
    numbers = [2, 12, 13, 16, 17, 30, 34, 35, 38, 41, 44, 46, 54, 55, 57, 270, 271]
    assert sorted(CONTROLS) == [f"C-{number:04}" for number in numbers]
    assert len(list(pods(objects_of("default")))) == 10 + len(GATES)


@pytest.mark.parametrize("name", VALUES)
def test_no_volume_of_the_host(name: str) -> None:
    volumes = [volume for pod in pods(objects_of(name)) for volume in pod.spec.get("volumes", [])]
    assert all(
        volume.keys() & {"configMap", "emptyDir", "persistentVolumeClaim", "secret"}
        for volume in volumes
    )
