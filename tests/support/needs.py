"""Programs that some tests need and no Python package brings: the marker `needs`."""

import os
import shutil
from collections.abc import Mapping

import pytest

# Where all of them have to be there, as in CI: a check that is skipped is a failure then.
REQUIRED = os.environ.get("CHART_TOOLS") == "required"


def declare(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(*tools): programs that a test cannot do without")


def look_for(item: pytest.Item, tools: Mapping[str, str]) -> None:
    """Skip a test whose tool is missing, and say what is not checked then."""
    for tool in (tool for marker in item.iter_markers("needs") for tool in marker.args):
        if not shutil.which(tool):
            message = f"{tool} is not on PATH: {tools[tool]}"
            if REQUIRED:
                pytest.fail(message, pytrace=False)
            pytest.skip(message)
