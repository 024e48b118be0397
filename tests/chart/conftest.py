import pytest

from tests.support import needs

# What is not checked where the tool is missing.
TOOLS = {
    "helm": "the chart is not rendered",
    "helm-unittest": "charts/orderfleet/tests are not run",
    "kubectl": "k8s/ is not built",
    "kubeconform": "objects are not compared with Kubernetes' schemas",
    "npm": "the chart's README and values.schema.json may be out of date",
}


def pytest_configure(config: pytest.Config) -> None:
    needs.declare(config)


def pytest_runtest_setup(item: pytest.Item) -> None:
    needs.look_for(item, TOOLS)
