"""What a scaler asks Prometheus for: by KEDA's triggers, or by the rules of prometheus-adapter."""

import json
import re
import subprocess
from collections.abc import Iterator
from typing import Any, Final

import yaml

from tests.monitoring.support.rules import CHART, NAMESPACE, RELEASE, ROOT

Object = dict[str, Any]

ADAPTER: Final = ROOT / "docs/prometheus-adapter.yaml"
KEDA: Final = {
    "autoscaling.mode": "keda",
    "autoscaling.prometheus.address": "http://prometheus:9090",
}
ZERO: Final = (
    KEDA
    | {
        "api.admission": False,
        # A gate would wait for a pod of the new build.
        "versioning.promotion": "self",
    }
    | {
        f"{worker}.autoscaling.{name}": value
        for worker in ("orderWorker", "shippingWorker")
        for name, value in (("minReplicas", 0), ("scaleToZero", True))
    }
)
HPA: Final = {"autoscaling.mode": "hpa"}


def scalers(values: dict[str, Any]) -> Iterator[Object]:
    """Yield the scalers that the chart makes of these values."""
    given = [f"--set-json={path}={json.dumps(value)}" for path, value in values.items()]
    name = [RELEASE, str(CHART), "--namespace", NAMESPACE]
    done = subprocess.run(
        ["helm", "template", *name, f"--set=global.fullnameOverride={RELEASE}", *given],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for found in yaml.load_all(done.stdout, yaml.CSafeLoader):
        if found and found["kind"] in {"ScaledObject", "HorizontalPodAutoscaler"}:
            yield found


def signals(values: dict[str, Any]) -> dict[str, str]:
    """Return the queries, by the component and what they tell of it."""
    found = {}
    for scaler in scalers(values):
        component = scaler["metadata"]["labels"]["app.kubernetes.io/component"]
        for trigger in scaler["spec"].get("triggers", []):
            found[f"{component}: {trigger['name']}"] = trigger["metadata"]["query"]
        for metric in scaler["spec"].get("metrics", []):
            asked = metric["external"]["metric"]
            labels = asked["selector"]["matchLabels"]
            kind = labels.get("worker_type", "")
            found[f"{component}: {asked['name']} {kind}".rstrip()] = adapted(asked["name"], labels)
    return found


def adapted(name: str, labels: dict[str, str]) -> str:
    """Return what the adapter asks when an autoscaler asks it for a metric with these labels."""
    rules = yaml.safe_load(ADAPTER.read_text())["rules"]["external"]
    (query,) = (rule["metricsQuery"] for rule in rules if rule["name"]["as"] == name)
    # As the adapter does: it puts the autoscaler's namespace to its labels.
    values = labels | {"namespace": NAMESPACE}
    used = set(re.findall(r'<<index \.LabelValuesByName "(\w+)">>', query))
    # A label too many would select nothing less, and one too few every pod.
    assert used == values.keys(), f"{name}: {used ^ values.keys()}"
    for label, value in values.items():
        query = query.replace(f'<<index .LabelValuesByName "{label}">>', value)
    assert "<<" not in query, query
    return str(query)
