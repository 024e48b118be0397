"""A line in the log for each answer of 500 and above, wherever it was made.

The answer itself tells the reason: it is a problem document.
"""

import time
from collections import Counter
from typing import Final

import msgspec
import structlog
from msgspec import Struct

log = structlog.stdlib.get_logger(__name__)

# A pod answers some 2,000 requests a second: an outage fills no disk, and hides no other line.
LINES_A_SECOND: Final = 200


class _Problem(Struct):
    detail: str = ""


class FailureLog:
    """Writes the lines; of those beyond `LINES_A_SECOND` it tells how many there were of a kind."""

    def __init__(self) -> None:
        self._second = 0
        self._lines = 0
        self._more: Counter[tuple[str, str, int, str]] = Counter()

    def answered(self, method: str, route: str, status: int, body: bytes) -> None:
        """Log an answer, by the reason that its body gives."""
        kind = method, route, status, _reason(body)
        second = int(time.monotonic())
        if second != self._second:
            self.flush()
            self._second = second
            self._lines = 0
        self._lines += 1
        if self._lines <= LINES_A_SECOND:
            _write(kind)
        else:
            self._more[kind] += 1

    def flush(self) -> None:
        """Tell of those that got no line of their own."""
        more, self._more = self._more, Counter()
        for kind, count in more.items():
            _write(kind, more=count)


def _write(kind: tuple[str, str, int, str], **more: int) -> None:
    method, route, status, reason = kind
    log.warning("request failed", method=method, route=route, status=status, reason=reason, **more)


def _reason(body: bytes) -> str:
    try:
        return msgspec.json.decode(body, type=_Problem).detail
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ""
