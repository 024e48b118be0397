"""Node, which comes with Playwright."""

from pathlib import Path

import playwright


def node() -> Path:
    """Return the path of Node."""
    return Path(playwright.__file__).with_name("driver") / "node"
