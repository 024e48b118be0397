"""promtool, as the tests call it."""

import subprocess
from pathlib import Path


def run_tests(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the folder's test.yaml."""
    return subprocess.run(
        ["promtool", "test", "rules", "test.yaml"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
