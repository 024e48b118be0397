"""No object in JSON has a member twice: readers disagree about which one counts."""

import json
from typing import Any


def check_members(data: bytes) -> None:
    """Look at JSON that has been decoded before; msgspec takes the last of two members.

    Raises:
        ValueError: an object has a member twice.
        RecursionError: it is nested too deep.
    """
    json.loads(data.decode(), object_pairs_hook=_members)


def _members(pairs: list[tuple[str, Any]]) -> None:
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            raise ValueError(f"Object has the member `{name[:64]}` twice")
        seen.add(name)
