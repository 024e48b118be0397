import pytest

from tests.support import needs

# What is not checked where the tool is missing.
TOOLS = {
    "helm": "alerts, dashboards and PodMonitor are not rendered",
    "prometheus": "no dashboard's and no alert's expression is evaluated",
    "promtool": "it is not known whether the alerts fire",
}


def pytest_configure(config: pytest.Config) -> None:
    needs.declare(config)


def pytest_runtest_setup(item: pytest.Item) -> None:
    needs.look_for(item, TOOLS)
