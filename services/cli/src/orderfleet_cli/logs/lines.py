"""Print the lines of a log: text for people, JSON for programs."""

from dataclasses import dataclass
from typing import Any, Final

import msgspec

from orderfleet_cli.printing import one_line

# Known from the command, or printed at the beginning of the line.
_HEAD: Final = frozenset({"timestamp", "level", "event", "service", "exception"})
_TIME: Final = slice(11, 23)


@dataclass(frozen=True, kw_only=True)
class LinePrinter:
    """How much of a log to print, and how."""

    lines: int
    follow: bool
    as_json: bool

    def print(self, line: str) -> None:
        """Print a line, unless it is empty."""
        line = line.rstrip("\r\n")
        if line:
            print(_as_json(line) if self.as_json else _as_text(line), flush=True)


def _as_text(line: str) -> str:
    """Return a line of JSON as `12:00:00.123 info event name=value`; any other as it is."""
    entry = _decode(line)
    if entry is None:
        return one_line(line)
    time = str(entry.get("timestamp", ""))[_TIME].rstrip("Z")
    values = " ".join(f"{name}={value}" for name, value in entry.items() if name not in _HEAD)
    head = one_line(f"{time} {entry.get('level', ''):<7} {entry.get('event', '')}  {values}")
    traceback = str(entry.get("exception", "")).splitlines()
    return "\n".join((head, *(f"    {one_line(part)}" for part in traceback)))


def _as_json(line: str) -> str:
    """Return a line of JSON as it is; any other as a message in JSON."""
    if _decode(line) is not None:
        return line
    return msgspec.json.encode({"message": line}).decode()


def _decode(line: str) -> dict[str, Any] | None:
    if not line.startswith("{"):
        return None
    try:
        return msgspec.json.decode(line, type=dict[str, Any])
    except msgspec.MsgspecError:
        return None
