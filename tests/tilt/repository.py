"""Checks of the repository."""

import subprocess

from tests.chart.rendering import ROOT


def assert_target(target: str) -> None:
    """Check that make has this target."""
    done = subprocess.run(
        ["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
