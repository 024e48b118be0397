"""What the chart makes of dashboards and alerts, and how a Prometheus finds the pods."""

import json
import subprocess
from typing import Any, Final

import pytest
import yaml

from tests.monitoring.support.panels import dashboards
from tests.monitoring.support.rules import CHART, rules

pytestmark = pytest.mark.needs("helm")

Object = dict[str, Any]
ALL: Final = {
    "dashboards.enabled": True,
    "alerts.enabled": True,
    "podMonitor.enabled": True,
    "backup.enabled": True,
}


def helm(values: dict[str, Any] | None = None) -> subprocess.CompletedProcess[str]:
    given = [f"--set-json={path}={json.dumps(value)}" for path, value in (values or {}).items()]
    # A release of this name makes pods of this name: what rules() puts in.
    name = ["shop", str(CHART), "--namespace=shop", "--set=global.fullnameOverride=shop"]
    return subprocess.run(
        ["helm", "template", *name, *given], capture_output=True, text=True, check=False
    )


def render(values: dict[str, Any] | None = None) -> list[Object]:
    done = helm(values)
    assert done.returncode == 0, done.stderr
    return [found for found in yaml.load_all(done.stdout, yaml.CSafeLoader) if found]


def of(objects: list[Object], kind: str) -> list[Object]:
    return [found for found in objects if found["kind"] == kind]


def the_rules(objects: list[Object]) -> list[Object]:
    (found,) = of(objects, "PrometheusRule")
    (group,) = found["spec"]["groups"]
    rules: list[Object] = group["rules"]
    return rules


def the_dashboards(objects: list[Object]) -> list[Object]:
    return [one for one in of(objects, "ConfigMap") if "-dashboard-" in one["metadata"]["name"]]


def annotated(objects: list[Object]) -> dict[str, Object]:
    return {
        found["metadata"]["name"]: found["spec"]["template"]["metadata"]["annotations"]
        for found in of(objects, "Deployment")
        if "prometheus.io/scrape" in found["spec"]["template"]["metadata"].get("annotations", {})
    }


def test_none_of_it_is_there_unless_it_is_asked_for() -> None:
    objects = render()
    assert not of(objects, "PrometheusRule")
    assert not of(objects, "PodMonitor")
    assert not the_dashboards(objects)


def test_each_dashboard_is_a_config_map_for_the_sidecar() -> None:
    found = the_dashboards(render(ALL))
    assert len(found) == len(dashboards())
    for one in found:
        assert one["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert "annotations" not in one["metadata"]
    texts = {name: text for one in found for name, text in one["data"].items()}
    assert {name: json.loads(text) for name, text in texts.items()} == {
        f"orderfleet-{name}.json": json_ for name, json_ in dashboards().items()
    }


def test_the_sidecars_label_and_folder_are_values() -> None:
    values = {
        "dashboards.label": "board",
        "dashboards.labelValue": "yes",
        "dashboards.annotations": {"grafana_folder": "Shops"},
        "alerts.runbookUrl": "https://wiki.example/runbooks",
    }
    for one in the_dashboards(render(ALL | values)):
        assert one["metadata"]["labels"]["board"] == "yes"
        assert one["metadata"]["annotations"] == {"grafana_folder": "Shops"}
        (text,) = one["data"].values()
        assert "https://wiki.example/runbooks" in text
        assert "docs/runbooks" not in text.replace("the folder docs/runbooks", "")


def test_the_alerts_are_those_that_promtool_tested() -> None:
    found = the_rules(render(ALL))
    assert [one["annotations"].pop("runbook_url") for one in found] == [
        f"docs/runbooks/{name}.md" for name in rules()
    ]
    assert found == list(rules().values())


def test_alerts_can_be_labelled_left_out_and_pointed_elsewhere() -> None:
    values = {
        "alerts.labels": {"release": "kube-prometheus-stack"},
        "alerts.ruleLabels": {"team": "orders", "severity": "info"},
        "alerts.disabled": ["DrainOverrun", "ApiErrors"],
        "alerts.runbookUrl": "https://wiki.example/runbooks",
    }
    objects = render(ALL | values)
    (rule,) = of(objects, "PrometheusRule")
    assert rule["metadata"]["labels"]["release"] == "kube-prometheus-stack"
    found = {one["alert"]: one for one in the_rules(objects)}
    assert rules().keys() - found.keys() == {"DrainOverrun", "ApiErrors"}
    for name, one in found.items():
        assert one["labels"] == {"team": "orders", "severity": "info"}
        assert one["annotations"]["runbook_url"] == f"https://wiki.example/runbooks/{name}.md"


def test_the_deadlines_alerts_take_the_deadline_or_say_that_they_cannot() -> None:
    rule = {one["alert"]: one for one in the_rules(render(ALL | {"orders.deadlineSeconds": 30}))}
    assert 'le="30.0"' in rule["OrderDeadlineBurnFast"]["expr"]
    assert "after 30 s" in rule["OrderDeadlineBurnFast"]["annotations"]["description"]
    for seconds in (7, 15.5):
        done = helm(ALL | {"orders.deadlineSeconds": seconds})
        assert done.returncode == 1
        assert f"orders.deadlineSeconds: {seconds} is no edge" in done.stderr
    assert helm({"orders.deadlineSeconds": 7}).returncode == 0


def test_a_backup_is_too_old_where_there_are_backups() -> None:
    found = {one["alert"] for one in the_rules(render({"alerts.enabled": True}))}
    assert rules().keys() - found == {"BackupTooOld"}
    values = ALL | {"backup.maxAgeSeconds": 7200}
    rule = {one["alert"]: one for one in the_rules(render(values))}["BackupTooOld"]
    assert 'cronjob="shop-backup"' in rule["expr"]
    assert rule["expr"].endswith("> 7200\n")


def test_a_pod_monitor_finds_the_services_and_temporal() -> None:
    values = {"podMonitor.labels": {"release": "prometheus"}, "podMonitor.interval": "5s"}
    objects = render(ALL | values)
    (monitor,) = of(objects, "PodMonitor")
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    wanted = monitor["spec"]["selector"]["matchLabels"]
    ports = {one["port"] for one in monitor["spec"]["podMetricsEndpoints"]}
    assert {one["interval"] for one in monitor["spec"]["podMetricsEndpoints"]} == {"5s"}
    found = {
        one["metadata"]["name"]: port["containerPort"]
        for one in of(objects, "Deployment")
        if wanted.items() <= one["spec"]["template"]["metadata"]["labels"].items()
        for container in one["spec"]["template"]["spec"]["containers"]
        for port in container.get("ports", [])
        if port["name"] in ports
    }
    assert found == dict.fromkeys(
        ("shop-api", "shop-order-worker", "shop-shipping-worker", "shop-temporal"), 9090
    )
    # As annotations do; dashboards need neither, people do.
    labels = {
        relabeling["targetLabel"]
        for one in monitor["spec"]["podMetricsEndpoints"]
        for relabeling in one["relabelings"]
    }
    assert labels == {"component"}


def test_the_pods_are_annotated_unless_that_is_turned_off() -> None:
    told = {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": "9090",
        "prometheus.io/path": "/metrics",
    }
    found = annotated(render())
    assert found.keys() == {
        "shop-api",
        "shop-order-worker",
        "shop-shipping-worker",
        "shop-temporal",
    }
    for annotations in found.values():
        assert told.items() <= annotations.items()
    assert not annotated(render({"global.metrics.annotations": False}))


def test_an_own_annotation_wins() -> None:
    own = {"prometheus.io/port": "1234", "team": "orders"}
    found = annotated(render({"api.podAnnotations": own}))["shop-api"]
    assert own.items() <= found.items()
    assert found["prometheus.io/scrape"] == "true"
