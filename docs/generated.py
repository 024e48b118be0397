"""Pages that a script writes, and checks with `--check`."""

import sys
from pathlib import Path


def write_or_check(page: Path, text: str) -> None:
    """Write a page, or with `--check` exit 1 if it is out of date."""
    if "--check" not in sys.argv[1:]:
        page.write_text(text)
    elif not page.exists() or page.read_text() != text:
        sys.exit(f"{page.name} is out of date: make docs")
