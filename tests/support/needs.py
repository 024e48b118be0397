"""The marker `needs`: programs that a test requires and no Python package provides."""

import os
import shutil
from collections.abc import Mapping

import pytest

# In CI all programs are required: a skipped check is a failure there.
REQUIRED = os.environ.get("CHART_TOOLS") == "required"


def declare(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(*tools): programs that a test requires")


def look_for(item: pytest.Item, tools: Mapping[str, str]) -> None:
    """Skip a test whose tool is missing, and say what is not checked without it."""
    for tool in (tool for marker in item.iter_markers("needs") for tool in marker.args):
        if not shutil.which(tool):
            message = f"{tool} is not on PATH: {tools[tool]}"
            if REQUIRED:
                pytest.fail(message, pytrace=False)
            pytest.skip(message)
