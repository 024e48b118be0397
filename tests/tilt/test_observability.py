"""A part that is switched off is not installed, and nothing refers to it."""

import itertools
import json
import re
from typing import Final
from urllib.parse import urlsplit

import pytest
import yaml

from tests.chart.rendering import CHART, ROOT, Object, named, pods
from tests.chart.test_controls import CONTROLS
from tests.tilt.recorder import Tilt, evaluate

pytestmark = pytest.mark.needs("helm")

PARTS: Final = ("prometheus", "grafana", "jaeger")
CHOICES: Final = [
    dict(zip(PARTS, on, strict=True)) for on in itertools.product([True, False], repeat=len(PARTS))
]
# A host of a single label is a Service of the same namespace.
URL: Final = re.compile(r"http://[a-z][a-z0-9-]*:\d+")
# Prometheus discovers pods by the Kubernetes API, and nothing here has a NetworkPolicy.
NOT_HERE: Final = {"C-0002", "C-0030", "C-0034", "C-0035", "C-0054"}


@pytest.fixture(params=CHOICES, ids=lambda on: "+".join(p for p in PARTS if on[p]) or "none")
def choice(request: pytest.FixtureRequest) -> dict[str, bool]:
    found: dict[str, bool] = request.param
    return found


def test_what_is_off_is_gone(choice: dict[str, bool]) -> None:
    tilt = evaluate(choice)
    on = {part for part in PARTS if choice[part]}
    assert tilt.resources.keys() & set(PARTS) == on
    for part in PARTS:
        names = {manifest["metadata"]["name"] for manifest in tilt.objects}
        assert (part in names) is choice[part]


def test_every_address_is_a_service(choice: dict[str, bool]) -> None:
    tilt = evaluate(choice)
    services = {
        f"http://{manifest['metadata']['name']}:{port['port']}"
        for manifest in tilt.objects
        if manifest["kind"] == "Service"
        for port in manifest["spec"]["ports"]
    }
    named_ones = {
        url
        for manifest in tilt.objects
        if manifest["kind"] in {"ConfigMap", "Deployment"}
        and "dashboard-" not in manifest["metadata"]["name"]
        for url in URL.findall(json.dumps(manifest))
    }
    # Where a browser follows a link.
    forwarded = {
        f"http://localhost:{port['local']}"
        for resource in tilt.resources.values()
        for port in resource.port_forwards
    }
    assert named_ones <= services | forwarded
    expected = {"http://jaeger:4317"} if choice["jaeger"] else set()
    if choice["grafana"]:
        expected |= {"http://jaeger:16686"} if choice["jaeger"] else set()
        expected |= {"http://prometheus:9090"} if choice["prometheus"] else set()
    assert {url for url in named_ones if urlsplit(url).hostname in PARTS} == expected


def test_spans_go_to_jaeger_alone(choice: dict[str, bool]) -> None:
    tilt = evaluate(choice)
    for component in ("api", "order-worker", "shipping-worker"):
        config = named(tilt.objects, "ConfigMap", f"orderfleet-{component}")["data"]
        assert ("OTEL_EXPORTER_OTLP_ENDPOINT" in config) is choice["jaeger"]


def test_the_board_links_to_what_is_there(choice: dict[str, bool]) -> None:
    config = named(evaluate(choice).objects, "ConfigMap", "orderfleet-api")["data"]
    assert config["ORDERFLEET_TEMPORAL_UI_URL"] == "http://localhost:8233"
    trace = "http://localhost:16686/trace/{trace_id}" if choice["jaeger"] else ""
    assert config["ORDERFLEET_TRACE_URL"] == trace


def mounted_dashboards(tilt: Tilt) -> set[str]:
    (pod,) = pods([named(tilt.objects, "Deployment", "grafana")])
    (volume,) = (volume for volume in pod.spec["volumes"] if volume["name"] == "dashboards")
    sources = [source["configMap"] for source in volume["projected"]["sources"]]
    assert all(source["optional"] for source in sources)
    return {source["name"] for source in sources}


def test_grafana_has_the_chart_s_dashboards(choice: dict[str, bool]) -> None:
    tilt = evaluate(choice)
    made = {
        manifest["metadata"]["name"]
        for manifest in tilt.objects
        if manifest["metadata"]["name"].startswith("orderfleet-dashboard-")
    }
    files = {path.stem for path in CHART.glob("dashboards/*.json")}
    shown = choice["grafana"] and choice["prometheus"]
    assert made == {f"orderfleet-dashboard-{name}" for name in files if shown}
    if choice["grafana"]:
        assert mounted_dashboards(tilt) == {f"orderfleet-dashboard-{name}" for name in files}


def test_grafana_mounts_what_it_reads() -> None:
    tilt = evaluate()
    (pod,) = pods([named(tilt.objects, "Deployment", "grafana")])
    (container,) = pod.spec["containers"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounts.keys() == {volume["name"] for volume in pod.spec["volumes"]}
    (text,) = named(tilt.objects, "ConfigMap", "grafana-dashboards")["data"].values()
    (provider,) = yaml.safe_load(text)["providers"]
    assert provider["options"]["path"] == mounts["dashboards"]


def test_prometheus_scrapes_by_the_annotations_and_labels_of_the_pods() -> None:
    tilt = evaluate()
    text = named(tilt.objects, "ConfigMap", "prometheus")["data"]["prometheus.yml"]
    (pod,) = (
        manifest["spec"]["template"]["metadata"]
        for manifest in tilt.objects
        if manifest["metadata"]["name"] == "orderfleet-order-worker"
        and manifest["kind"] == "Deployment"
    )
    asked = re.findall(r"__meta_kubernetes_pod_(annotation|label)_(\w+)", text)
    there = {
        "annotation": {re.sub(r"\W", "_", name) for name in pod["annotations"]},
        "label": {re.sub(r"\W", "_", name) for name in pod["labels"]},
    }
    assert asked
    for kind, name in asked:
        assert name in there[kind], name


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("number", sorted(CONTROLS.keys() - NOT_HERE))
def test_pods_are_as_restricted_as_the_chart_s(number: str, part: str) -> None:
    assert CONTROLS[number](manifests(part)) == []


@pytest.mark.parametrize("part", PARTS)
def test_probes_and_services_use_the_ports_of_the_pod(part: str) -> None:
    (pod,) = pods(manifests(part))
    (container,) = pod.containers()
    ports = {port["name"] for port in container["ports"]}
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["port"] in ports
    (service,) = (manifest["spec"] for manifest in manifests(part) if manifest["kind"] == "Service")
    assert service["selector"].items() <= pod.labels.items()
    assert {port["targetPort"] for port in service["ports"]} <= ports


def manifests(part: str) -> list[Object]:
    return list(yaml.safe_load_all((ROOT / f"tilt/{part}.yaml").read_text()))
