import os
import shutil

import pytest

REQUIRED = os.environ.get("CHART_TOOLS") == "required"
# What is not checked where the tool is missing.
TOOLS = {
    "helm": "alerts, dashboards and PodMonitor are not rendered",
    "prometheus": "no dashboard's and no alert's expression is evaluated",
    "promtool": "it is not known whether the alerts fire",
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
