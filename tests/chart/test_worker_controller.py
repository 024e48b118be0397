"""The values of docs/worker-controller.yaml, rendered: the controller itself is not run."""

import pytest
import yaml

from tests.chart.rendering import ROOT, named, render

pytestmark = pytest.mark.needs("helm")

WORKERS = ["orderfleet-order-worker", "orderfleet-shipping-worker"]


def test_the_controller_gets_the_pods_of_the_chart() -> None:
    values = yaml.safe_load((ROOT / "docs/worker-controller.yaml").read_text())
    objects = render(values)
    assert not [found for found in objects if "-gate" in found["metadata"]["name"]]
    for name in WORKERS:
        own, its = (named(objects, kind, name) for kind in ("Deployment", "WorkerDeployment"))
        assert own["spec"]["replicas"] == 0
        assert its["spec"]["template"] == own["spec"]["template"]
        config = named(objects, "ConfigMap", name)["data"]
        assert config["ORDERFLEET_VERSION_PROMOTION"] == "none"
    connection = named(objects, "Connection", "orderfleet")
    assert connection["spec"]["hostPort"] == "orderfleet-temporal:7233"
