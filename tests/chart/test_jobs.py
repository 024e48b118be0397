"""A Job cannot be changed: one whose pod is another has another name, and only such a one."""

from typing import Any

import pytest

from tests.chart.rendering import render

pytestmark = pytest.mark.needs("helm")

GATES = {"order-gate", "shipping-gate"}
ALL = {"temporal-schema", "temporal-namespace", "migrate", *GATES}


def names(values: dict[str, Any] | None = None) -> dict[str, str]:
    versioning = {"enabled": True, **(values or {}).get("versioning", {})}
    objects = render({**(values or {}), "versioning": versioning})
    jobs = [found for found in objects if found["kind"] == "Job"]
    found = {job["metadata"]["labels"]["app.kubernetes.io/component"]: job for job in jobs}
    assert len(found) == len(jobs)
    for component, job in found.items():
        assert ("ttlSecondsAfterFinished" in job["spec"]) == (component in GATES)
        assert "annotations" not in job["metadata"]
        assert job["metadata"]["name"].startswith(f"orderfleet-{component}-")
    return {component: job["metadata"]["name"] for component, job in found.items()}


@pytest.fixture(scope="module")
def before() -> dict[str, str]:
    found = names()
    assert set(found) == ALL
    return found


@pytest.mark.parametrize(
    ("changed", "values"),
    [
        ({"migrate"}, {"api": {"image": {"tag": "1.2.3"}}}),
        ({"migrate"}, {"api": {"image": {"digest": f"sha256:{'0' * 64}"}}}),
        (
            {"temporal-schema", "temporal-namespace"},
            {"temporal": {"adminTools": {"tag": "1.33.0"}}},
        ),
        ({"temporal-namespace"}, {"temporal": {"namespace": {"name": "orders"}}}),
        ({"temporal-namespace"}, {"temporal": {"namespace": {"retention": "24h"}}}),
        ({"migrate"}, {"postgres": {"user": "fleet"}}),
        ({"order-gate"}, {"orderWorker": {"image": {"tag": "1.2.3"}}}),
        ({"shipping-gate"}, {"shippingWorker": {"image": {"digest": f"sha256:{'0' * 64}"}}}),
        # A gate with another setting runs again, and ends at once: its build is the current one.
        (GATES, {"versioning": {"gate": {"percent": 20}}}),
        (ALL, {"global": {"imageRegistry": "registry.example.com"}}),
        (ALL, {"global": {"jobs": {"resources": {"limits": {"memory": "1Gi"}}}}}),
    ],
)
def test_another_pod_is_another_job(
    changed: set[str], values: dict[str, Any], before: dict[str, str]
) -> None:
    after = names(values)
    assert {component for component in ALL if after[component] != before[component]} == changed


@pytest.mark.parametrize(
    "values",
    [
        None,
        {"api": {"replicas": 3, "extraEnv": [{"name": "MORE", "value": "x"}]}},
        {"orders": {"deadlineSeconds": 20}, "logLevel": "debug"},
        {"orderWorker": {"replicas": 3, "reconcileSeconds": 5, "podLabels": {"any": "thing"}}},
        {"shippingWorker": {"flaky": "*", "carrierUrl": "https://carrier"}},
        {"temporal": {"image": {"tag": "1.33.0"}, "replicas": 2, "ui": {"enabled": False}}},
        {"postgres": {"image": {"tag": "17.9"}}},
        {"postgres": {"parameters": {"work_mem": "16MB"}, "persistence": {"size": "9Gi"}}},
        {"api": {"ingress": {"enabled": True}}, "global": {"networkPolicy": {"enabled": False}}},
    ],
)
def test_the_same_pod_is_the_same_job(
    values: dict[str, Any] | None, before: dict[str, str]
) -> None:
    assert names(values) == before
