"""A line of a log, for people and for programs."""

from typing import Any, Final

import msgspec

from orderfleet_cli.output import one_line

# Said by the command already, or at the beginning of the line.
_HEAD: Final = frozenset({"timestamp", "level", "event", "service", "exception"})
_TIME: Final = slice(11, 23)


def as_text(line: str) -> str:
    """Return a line of JSON as `12:00:00.123 info event name=value`; any other as it is."""
    found = _decoded(line)
    if found is None:
        return one_line(line)
    time = str(found.get("timestamp", ""))[_TIME].rstrip("Z")
    values = " ".join(f"{name}={value}" for name, value in found.items() if name not in _HEAD)
    said = one_line(f"{time} {found.get('level', ''):<7} {found.get('event', '')}  {values}")
    trace = str(found.get("exception", "")).splitlines()
    return "\n".join((said, *(f"    {one_line(part)}" for part in trace)))


def as_json(line: str) -> str:
    """Return a line of JSON as it is; any other as a message in JSON."""
    if _decoded(line) is not None:
        return line
    return msgspec.json.encode({"message": line}).decode()


def _decoded(line: str) -> dict[str, Any] | None:
    if not line.startswith("{"):
        return None
    try:
        return msgspec.json.decode(line, type=dict[str, Any])
    except msgspec.MsgspecError:
        return None
