import json
import re
import subprocess
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.rendering import CHART, ROOT, VALUES, objects_of, template, text_of

pytestmark = pytest.mark.needs("kubeconform", "helm")

REF = re.compile(r'"\$ref": "[^"]*#/\$defs/([^"]+)"')
VERSIONS = ["1.31.0", "1.32.0", "1.33.0", "1.34.0"]
# Their schemas come with Gateway API, Prometheus' operator and KEDA, not with Kubernetes.
NOT_OF_KUBERNETES = {"HTTPRoute", "PodMonitor", "PrometheusRule", "ScaledObject"}
KINDS = [
    "configmap-v1",
    "cronjob-batch-v1",
    "deployment-apps-v1",
    "horizontalpodautoscaler-autoscaling-v2",
    "ingress-networking-v1",
    "job-batch-v1",
    "networkpolicy-networking-v1",
    "persistentvolumeclaim-v1",
    "pod-v1",
    "poddisruptionbudget-policy-v1",
    "role-rbac-v1",
    "rolebinding-rbac-v1",
    "secret-v1",
    "service-v1",
    "serviceaccount-v1",
    "statefulset-apps-v1",
]


@pytest.fixture(scope="session")
def schemas(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Kubernetes' schemas out of a Python package, as kubeconform wants them.

    There, the files name each other as `/api/...` at kubernetes.io; nothing is fetched from there.
    """
    directory = tmp_path_factory.mktemp("schemas")
    for version in VERSIONS:
        source = files("kubernetes_validate") / f"kubernetes-json-schema/v{version}-local-strict"
        (directory / version).mkdir()
        texts = {name: (source / f"{name}.json").read_text() for name in KINDS}
        everything = json.loads((source / "_definitions.json").read_text())["$defs"]
        # kubeconform reads the definitions again for each kind: only those that are used.
        used, new = set[str](), set(REF.findall("".join(texts.values())))
        while new:
            used |= new
            new = set(REF.findall(json.dumps([everything[name] for name in new]))) - used
        definitions = {"$defs": {name: everything[name] for name in used}}
        (directory / version / "_definitions.json").write_text(json.dumps(definitions))
        for name, text in texts.items():
            schema = json.loads(text.replace('"/api/_definitions.json#', '"_definitions.json#'))
            del schema["$id"]
            (directory / version / f"{name}.json").write_text(json.dumps(schema))
    return directory


def kubeconform(schemas: Path, version: str, *sources: Path) -> list[dict[str, Any]]:
    location = f"{schemas}/{version}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"
    done = subprocess.run(
        [
            *("kubeconform", "-strict", "-verbose", "-output", "json"),
            *("-kubernetes-version", version, "-schema-location", location),
            *("-skip", ",".join(NOT_OF_KUBERNETES), *map(str, sources)),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert not done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)["resources"]
    return found


@pytest.mark.parametrize("version", VERSIONS)
def test_objects_are_what_kubernetes_knows(version: str, schemas: Path, tmp_path: Path) -> None:
    for name in VALUES:
        (tmp_path / f"{name}.yaml").write_text(text_of(name))
    found = kubeconform(schemas, version, tmp_path)
    wrong = [
        f"{Path(one['filename']).stem}: {one['kind']}/{one['name']}: {one['msg']}"
        for one in found
        if one["status"] not in {"statusValid", "statusSkipped"}
    ]
    assert not wrong, "\n".join(wrong)
    assert len(found) == sum(len(objects_of(name)) for name in VALUES)


@pytest.mark.parametrize("version", VERSIONS)
def test_what_tilt_runs_beside_the_chart_too(version: str, schemas: Path) -> None:
    files = [ROOT / f"tilt/{name}.yaml" for name in ("grafana", "jaeger", "prometheus")]
    found = kubeconform(schemas, version, *files)
    assert [f"{one['kind']}/{one['name']}: {one['msg']}" for one in found if one["msg"]] == []
    assert {one["status"] for one in found} == {"statusValid"}
    assert sum(one["kind"] == "Deployment" for one in found) == len(files)


@pytest.mark.parametrize("kind", sorted(NOT_OF_KUBERNETES))
def test_nothing_else_is_left_out(kind: str) -> None:
    number = sum(found["kind"] == kind for name in VALUES for found in objects_of(name))
    pytest.skip(f"{kind}: not compared ({number} rendered), as Kubernetes has no schema of it")


def strings(schema: dict[str, Any]) -> dict[str, Any]:
    """Return values with a text that looks like a number wherever any text may be."""
    found: dict[str, Any] = {}
    for key, inner in schema.get("properties", {}).items():
        if inner.get("properties"):
            found[key] = strings(inner)
        elif inner.get("type") == "string" and not inner.keys() & {"enum", "pattern"}:
            found[key] = "123"
    return found


@pytest.mark.parametrize("own", [True, False], ids=["own", "external"])
@pytest.mark.parametrize("mode", ["keda", "hpa"])
def test_a_text_that_looks_like_a_number_stays_a_text(
    mode: str, own: bool, schemas: Path, tmp_path: Path
) -> None:
    values = strings(json.loads((CHART / "values.schema.json").read_text()))
    values["orders"]["shippingTaskQueue"] = "456"
    values["extraObjects"] = []
    values["api"]["ingress"] |= {"enabled": True, "hosts": ["123"]}
    values["autoscaling"] |= {"mode": mode}
    values["autoscaling"]["prometheus"] |= {"address": "http://123", "authModes": "basic"}
    values["autoscaling"]["keda"]["backlogFrom"] = "temporal"
    values["postgres"]["enabled"] = values["temporal"]["enabled"] = own
    values["temporal"]["address"] = "" if own else "123:123"
    values["temporal"]["tls"]["enabled"] = not own
    values["api"]["auth"]["existingSecret"] = "" if own else "123"
    if own:
        values["postgres"]["host"] = ""
        for key in ("ownerSecret", "fleetSecret"):
            values["postgres"][key]["name"] = ""
        del values["temporal"]["tls"], values["temporal"]["apiKey"]
        values["autoscaling"]["keda"]["temporalAuthentication"] = ""
        values["temporal"]["allowFrom"] = [{"namespaceSelector": {}}]
        # With an own Postgres these are as they are.
        for key in ("host", "user", "database", "visibilityDatabase"):
            del values["temporal"]["postgres"][key]
    rendered = tmp_path / "rendered.yaml"
    rendered.write_text(template(values=values, release="123"))
    found = kubeconform(schemas, VERSIONS[-1], rendered)
    wrong = [f"{one['kind']}/{one['name']}: {one['msg']}" for one in found if one["msg"]]
    assert not wrong, "\n".join(wrong)
    # No schema tells that these are texts.
    triggers = [
        trigger
        for one in yaml.safe_load_all(rendered.read_text())
        if one and one["kind"] == "ScaledObject"
        for trigger in one["spec"]["triggers"]
    ]
    assert len(triggers) == (7 if mode == "keda" else 0)
    for trigger in triggers:
        assert all(isinstance(text, str) for text in trigger["metadata"].values()), trigger
        assert trigger.get("authenticationRef", {"name": "123"}) == {"name": "123"}


def test_a_wrong_field_is_found(schemas: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(text_of("default").replace("readOnlyRootFilesystem", "readOnlyRoot"))
    found = kubeconform(schemas, VERSIONS[0], wrong)
    assert any("'readOnlyRoot' not allowed" in one["msg"] for one in found)
