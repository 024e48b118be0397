"""Duplicate members in JSON are refused: parsers disagree about which of them counts."""

import json
from typing import Any


def check_members(data: bytes) -> None:
    """Check JSON that msgspec has decoded, which keeps the last of two members.

    Raises:
        ValueError: an object has a member twice.
        RecursionError: the JSON is nested too deep.
    """
    json.loads(data.decode(), object_pairs_hook=unique_members)


def unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object's members, as an `object_pairs_hook` of `json`.

    Raises:
        ValueError: a member comes twice.
    """
    members: dict[str, Any] = {}
    for name, value in pairs:
        if name in members:
            raise ValueError(f"Object has the member `{name[:64]}` twice")
        members[name] = value
    return members
