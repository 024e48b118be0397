"""A log line for each answer of 500 and above, whoever made it.

The reason is the answer's own: it is a problem document.
"""

import time
from collections import Counter
from typing import Final

import msgspec
import structlog
from msgspec import Struct

log = structlog.stdlib.get_logger(__name__)

# A pod answers some 2,000 requests a second: an outage must not fill the disk or hide other lines.
LINES_A_SECOND: Final = 200


class _Problem(Struct):
    detail: str = ""


class FailureLog:
    """Logs up to `LINES_A_SECOND` failures one by one, and counts those beyond by kind."""

    def __init__(self) -> None:
        self._second = 0
        self._lines = 0
        self._more: Counter[tuple[str, str, int, str]] = Counter()

    def answered(self, method: str, route: str, status: int, body: bytes) -> None:
        """Log a failed request with the reason in its answer's body."""
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
        """Log how many failures got no line of their own."""
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
