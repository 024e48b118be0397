import pytest

from tests.support import needs

# What is not checked where the tool is missing.
TOOLS = {"helm": "what the Tiltfile names is not looked for in the rendered chart"}


def pytest_configure(config: pytest.Config) -> None:
    needs.declare(config)


def pytest_runtest_setup(item: pytest.Item) -> None:
    needs.look_for(item, TOOLS)
