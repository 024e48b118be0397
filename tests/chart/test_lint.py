import os
import subprocess

import pytest

from tests.chart.rendering import CHART, VALUES, helm


@pytest.mark.needs("helm")
@pytest.mark.parametrize("name", VALUES)
def test_helm_lint(name: str) -> None:
    done = helm("lint", "--strict", "--values", str(VALUES[name]))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.needs("helm-unittest")
def test_helm_unittest() -> None:
    done = subprocess.run(
        ["helm-unittest", "--strict", str(CHART)],
        env=os.environ | {"NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\nTests:" in done.stdout
