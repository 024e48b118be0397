import os
import shutil

import pytest

REQUIRED = os.environ.get("CHART_TOOLS") == "required"
# What is not checked where the tool is missing.
TOOLS = {
    "helm": "the chart is not rendered",
    "helm-unittest": "charts/orderfleet/tests are not run",
    "kubectl": "k8s/ is not built",
    "kubeconform": "objects are not compared with Kubernetes' schemas",
    "npm": "the chart's README and values.schema.json may be out of date",
}


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(*tools): programs that a test cannot do without")


def pytest_runtest_setup(item: pytest.Item) -> None:
    for tool in (tool for marker in item.iter_markers("needs") for tool in marker.args):
        if not shutil.which(tool):
            message = f"{tool} is not on PATH: {TOOLS[tool]}"
            if REQUIRED:
                pytest.fail(message, pytrace=False)
            pytest.skip(message)
