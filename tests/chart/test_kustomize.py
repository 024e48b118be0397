"""k8s/: bases made from the chart, and three overlays, as `kubectl kustomize` builds them."""

import base64
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from orderfleet.domain.roles import Role
from orderfleet.temporal.payload_keys import parse_keys
from orderfleet_api.auth import name_of
from orderfleet_api.auth import parse_keys as parse_api_keys
from tests.chart.rendering import ROOT, Object, named, pods, title

pytestmark = pytest.mark.needs("helm", "kubectl")

OVERLAYS = ["dev", "external", "keda"]
# `make deploy` has "orderfleet": what has Secrets and a volume of its own is elsewhere.
NAMESPACES = {"dev": "orderfleet-dev", "external": "orderfleet", "keda": "orderfleet-dev"}
# What has to be in the namespace before overlays/external: its kustomization.yaml says so.
GIVEN = {
    "Secret/orderfleet-postgres": {"owner-password", "fleet-password"},
    "Secret/orderfleet-api-keys": {"keys"},
    "Secret/orderfleet-payload-keys": {"keys"},
}
SERVICES = {"orderfleet-api", "orderfleet-order-worker", "orderfleet-shipping-worker"}


@pytest.fixture
def k8s(tmp_path: Path) -> Path:
    """Copy k8s/, with secrets for overlays/dev, beside the chart."""
    ignored = shutil.ignore_patterns("*.env", "__pycache__")
    copy = shutil.copytree(ROOT / "k8s", tmp_path / "k8s", ignore=ignored)
    (tmp_path / "charts").symlink_to(ROOT / "charts")
    script(copy, "dev_secrets.py")
    return copy


def script(k8s: Path, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(k8s / name), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def build(overlay: Path) -> list[Object]:
    done = subprocess.run(
        ["kubectl", "kustomize", str(overlay)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    # A field that kustomize has given up is a line there.
    assert not done.stderr
    return list(yaml.safe_load_all(done.stdout))


def above(k8s: Path, overlay: str, **kustomization: Any) -> list[Object]:
    """Build an overlay of one's own on top of one of the repository's."""
    directory = k8s / "overlays/mine"
    directory.mkdir(exist_ok=True)
    mine = {"resources": [f"../{overlay}"], **kustomization}
    (directory / "kustomization.yaml").write_text(json.dumps(mine))
    return build(directory)


def names(objects: list[Object], kind: str) -> dict[str, str]:
    """Return the names of a kind, by the name without the hash."""
    full = [found["metadata"]["name"] for found in objects if found["kind"] == kind]
    return {re.sub(r"-[a-z0-9]{10}$", "", name): name for name in full}


def changed(before: list[Object], after: list[Object], kind: str) -> set[str]:
    old, new = names(before, kind), names(after, kind)
    assert old.keys() == new.keys()
    return {name for name in old if old[name] != new[name]}


def test_the_bases_are_what_the_chart_makes() -> None:
    done = script(ROOT / "k8s", "render.py", "--check")
    assert done.returncode == 0, done.stderr


def test_a_difference_is_found_and_made_good(k8s: Path) -> None:
    with (k8s / "base/api.yaml").open("a") as file:
        file.write("# by hand\n")
    (k8s / "postgres/gone.yaml").touch()
    (k8s / "temporal/temporal-ui.yaml").unlink()
    (k8s / "keda/api.yaml").unlink()
    done = script(k8s, "render.py", "--check")
    assert done.returncode == 1
    assert [line.split()[0] for line in done.stderr.splitlines()] == [
        "k8s/base/api.yaml",
        "k8s/keda/api.yaml",
        "k8s/postgres/gone.yaml",
        "k8s/temporal/temporal-ui.yaml",
    ]
    assert script(k8s, "render.py").returncode == 0
    assert script(k8s, "render.py", "--check").returncode == 0


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_is_named_is_there(overlay: str, k8s: Path) -> None:
    objects = build(k8s / "overlays" / overlay)
    there = {title(found): set(found.get("data", {})) for found in objects}
    there |= GIVEN if overlay == "external" else {}
    spaces = {found["metadata"].get("namespace") for found in objects}
    assert spaces - {None} == {NAMESPACES[overlay]}
    seen = set()
    for name, key in references(objects):
        seen.add(name)
        assert name in there, name
        assert key is None or key in there[name], f"{name}: {key}"
    assert {name for name in there if name.startswith(("ConfigMap/", "Secret/"))} <= seen


def references(objects: list[Object]) -> Iterator[tuple[str, str | None]]:
    for pod in pods(objects):
        yield f"ServiceAccount/{pod.spec['serviceAccountName']}", None
        for volume in pod.spec.get("volumes", []):
            if "configMap" in volume:
                yield f"ConfigMap/{volume['configMap']['name']}", None
            for item in volume.get("secret", {}).get("items", []):
                yield f"Secret/{volume['secret']['secretName']}", item["key"]
        for container in pod.containers():
            yield from references_of(container)
    # Hosts, wherever they are told: in variables, addresses and URLs.
    hosts = re.findall(r'(?:"value": "|_ADDRESS": "|@)(orderfleet-\w+)', json.dumps(objects))
    yield from ((f"Service/{host}", None) for host in hosts)


def references_of(container: Object) -> Iterator[tuple[str, str | None]]:
    for source in container.get("envFrom", []):
        yield f"ConfigMap/{source['configMapRef']['name']}", None
    for variable in container.get("env", []):
        if source := variable.get("valueFrom", {}).get("secretKeyRef"):
            yield f"Secret/{source['name']}", source["key"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_nothing_says_that_helm_applies_it(overlay: str, k8s: Path) -> None:
    for found in build(k8s / "overlays" / overlay):
        labels, annotations = (found["metadata"].get(of, {}) for of in ("labels", "annotations"))
        assert not [name for name in [*labels, *annotations] if "helm" in name], title(found)
        assert "app.kubernetes.io/version" not in labels, title(found)
        if found["kind"] not in {"Namespace", "Secret"}:
            assert labels["app.kubernetes.io/managed-by"] == "kustomize", title(found)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_again_is_the_same(overlay: str, k8s: Path) -> None:
    assert build(k8s / "overlays" / overlay) == build(k8s / "overlays" / overlay)


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize(
    "image",
    [
        {"newTag": "0.2.0"},
        {"newName": "registry.example.com:5000/shop/Api", "newTag": "V_1"},
        {"digest": f"sha256:{'a' * 64}"},
    ],
)
def test_another_image_is_another_job(overlay: str, image: dict[str, str], k8s: Path) -> None:
    before = build(k8s / "overlays" / overlay)
    after = above(k8s, overlay, images=[{"name": "orderfleet-api", **image}])
    assert changed(before, after, "Job") == {"orderfleet-migrate"}
    # As long as a label of its pods may be, and as a host may be called.
    assert re.fullmatch(r"[a-z0-9-]{1,63}", names(after, "Job")["orderfleet-migrate"])
    assert not changed(before, after, "ConfigMap")


def test_another_pod_of_any_kind_is_another_job(k8s: Path) -> None:
    patch = [{"op": "add", "path": "/spec/template/spec/priorityClassName", "value": "high"}]
    target = {"kind": "Job", "name": "orderfleet-temporal-schema"}
    after = above(k8s, "dev", patches=[{"target": target, "patch": json.dumps(patch)}])
    assert changed(build(k8s / "overlays/dev"), after, "Job") == {"orderfleet-temporal-schema"}


def test_another_setting_replaces_the_pods_that_have_it(k8s: Path) -> None:
    patch = [{"op": "replace", "path": "/data/LOG_LEVEL", "value": "debug"}]
    target = {"kind": "ConfigMap", "name": "orderfleet-api"}
    before = build(k8s / "overlays/dev")
    after = above(k8s, "dev", patches=[{"target": target, "patch": json.dumps(patch)}])
    assert changed(before, after, "ConfigMap") == {"orderfleet-api"}
    assert not changed(before, after, "Job")
    (pod,) = (pod for pod in pods(after) if pod.owner == "Deployment/orderfleet-api")
    new = names(after, "ConfigMap")["orderfleet-api"]
    for container in pod.containers():
        assert container["envFrom"] == [{"configMapRef": {"name": new}}]


def test_dev_is_all_of_the_chart_and_its_namespace(k8s: Path) -> None:
    objects = build(k8s / "overlays/dev")
    (namespace,) = (found for found in objects if found["kind"] == "Namespace")
    enforced = "pod-security.kubernetes.io/enforce"
    assert namespace["metadata"]["labels"][enforced] == "restricted"
    assert set(names(objects, "StatefulSet")) == {"orderfleet-postgres"}
    deployments = set(names(objects, "Deployment"))
    assert deployments == SERVICES | {"orderfleet-temporal", "orderfleet-temporal-ui"}


def test_keda_is_dev_without_replicas_and_with_scalers(k8s: Path) -> None:
    before, after = (build(k8s / "overlays" / name) for name in ("dev", "keda"))
    scalers = [found for found in after if found["kind"] == "ScaledObject"]
    assert {found["spec"]["scaleTargetRef"]["name"] for found in scalers} == SERVICES
    assert {found["metadata"]["name"] for found in scalers} == SERVICES
    for found in before:
        if found["kind"] == "Deployment" and found["metadata"]["name"] in SERVICES:
            assert found["spec"].pop("replicas") == 2
    # Kinds are in another order.
    rest = [found for found in after if found not in scalers]
    assert sorted(rest, key=title) == sorted(before, key=title)


def test_keda_asks_the_prometheus_of_one_file(k8s: Path) -> None:
    file = k8s / "overlays/keda/prometheus.yaml"
    file.write_text(file.read_text().replace("http://prometheus.monitoring:9090", "https://mine"))
    scalers = [found for found in build(k8s / "overlays/keda") if found["kind"] == "ScaledObject"]
    asked = [trigger["metadata"] for one in scalers for trigger in one["spec"]["triggers"]]
    assert [one["serverAddress"] for one in asked] == ["https://mine"] * 7
    # An overlay that changes the namespace has to change these too: its header says so.
    assert all('{namespace="orderfleet-dev", pod=~"orderfleet-' in one["query"] for one in asked)


def test_keda_fits_on_the_other_overlay_too(k8s: Path) -> None:
    objects = above(k8s, "external", components=["../../keda"], namespace="orderfleet")
    assert set(names(objects, "ScaledObject")) == SERVICES
    assert not [
        title(found)
        for found in objects
        if found["kind"] == "Deployment" and "replicas" in found["spec"]
    ]


def test_external_takes_all_it_reaches_from_one_file(k8s: Path) -> None:
    connections = k8s / "overlays/external/connections.yaml"
    told = yaml.safe_load(connections.read_text())["data"]
    before = build(k8s / "overlays/external")
    other = {
        **dict.fromkeys(told, ""),
        "database-url": "postgresql://fleet@db.mine:6432/shop",
        "owner-database-url": "postgresql://owner@db.mine:6432/shop",
        "temporal-address": "temporal.mine:7443",
        "temporal-namespace": "shop",
        "postgres-port": "6432",
        "temporal-port": "7443",
    }
    assert other.keys() == told.keys()
    connections.write_text(
        connections.read_text().split("\ndata:")[0] + "\n" + yaml.dump({"data": other})
    )
    after = build(k8s / "overlays/external")
    assert set(names(after, "Deployment")) == SERVICES
    assert set(names(after, "ConfigMap")) == SERVICES
    assert changed(before, after, "ConfigMap") == SERVICES
    assert changed(before, after, "Job") == {"orderfleet-migrate", "orderfleet-temporal-namespace"}
    text = json.dumps(after)
    assert "example.com" not in text
    for host in ("orderfleet-postgres:", "orderfleet-temporal:"):
        assert host not in text
    for found in after:
        if found["kind"] == "ConfigMap":
            assert found["data"]["DATABASE_URL"] == other["database-url"]
            assert found["data"]["TEMPORAL_ADDRESS"] == "temporal.mine:7443"
            assert found["data"]["TEMPORAL_NAMESPACE"] == "shop"
    values = {
        f"{container['name']}/{variable['name']}": variable.get("value")
        for pod in pods([found for found in after if found["kind"] == "Job"])
        for container in pod.containers()
        for variable in container["env"]
    }
    assert values["migrate/DATABASE_URL"] == other["owner-database-url"]
    assert values["temporal-namespace/TEMPORAL_ADDRESS"] == "temporal.mine:7443"
    assert values["temporal-namespace/TEMPORAL_NAMESPACE"] == "shop"


def test_external_lets_the_pods_out_by_port(k8s: Path) -> None:
    # Rule 0 is DNS.
    let_out = {
        found["metadata"]["name"].removeprefix("orderfleet-"): found["spec"]["egress"][1:]
        for found in build(k8s / "overlays/external")
        if found["kind"] == "NetworkPolicy"
    }
    postgres, temporal = {"ports": [{"port": 5432}]}, {"ports": [{"port": 7233}]}
    assert let_out == {
        "api": [postgres, temporal],
        "order-worker": [postgres, temporal],
        "shipping-worker": [postgres, temporal],
        "order-gate": [postgres, temporal],
        "shipping-gate": [postgres, temporal],
        "migrate": [postgres],
        "temporal-namespace": [temporal],
    }


def test_the_key_of_dev_is_let_in(k8s: Path) -> None:
    data = named(build(k8s / "overlays/dev"), "Secret", "orderfleet-api-keys")["data"]
    texts = {name: base64.b64decode(text).decode() for name, text in data.items()}
    assert name_of(parse_api_keys(texts["keys"]), f"Bearer {texts['key']}".encode()) == "dev"
    operator = f"Bearer {texts['operator-key']}".encode()
    assert name_of(parse_api_keys(texts["keys"]), operator) == "dev-operator"
    assert Role.OPERATE in parse_api_keys(texts["keys"])["dev-operator"].roles


def test_the_payload_key_of_dev_is_one(k8s: Path) -> None:
    data = named(build(k8s / "overlays/dev"), "Secret", "orderfleet-payload-keys")["data"]
    [key] = parse_keys(base64.b64decode(data["keys"]).decode()).keys
    assert key.id == "dev"


def test_secrets_are_made_once_and_for_their_owner(k8s: Path) -> None:
    files = sorted(k8s.glob("overlays/dev/*.env"))
    assert len(files) == 3
    before = [file.read_text() for file in files]
    assert all(file.stat().st_mode & 0o777 == 0o600 for file in files)
    files[0].unlink()
    assert script(k8s, "dev_secrets.py").returncode == 0
    after = [file.read_text() for file in files]
    assert after[0] != before[0]
    assert after[1] == before[1]


def test_no_secret_is_in_git(k8s: Path) -> None:
    files = [f"k8s/{file.relative_to(k8s)}" for file in k8s.glob("overlays/dev/*.env")]
    ignored = git("check-ignore", *files)
    assert ignored == files
    tracked = git("ls-files", "--cached", "--others", "--exclude-standard", "k8s")
    assert "k8s/values.yaml" in tracked
    for name in tracked:
        assert not name.endswith(".env")
        assert "\nkind: Secret" not in (ROOT / name).read_text(), name


def git(*arguments: str) -> list[str]:
    done = subprocess.run(
        ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()
