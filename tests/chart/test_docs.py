import subprocess
import sys

import pytest

from tests.chart.rendering import ROOT


@pytest.mark.needs("npm")
def test_readme_and_schema_are_as_values_yaml_has_it() -> None:
    done = subprocess.run(
        [sys.executable, "charts/schema.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_lock_names_no_registry() -> None:
    assert '"resolved"' not in (ROOT / "charts/package-lock.json").read_text()
