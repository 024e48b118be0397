"""A finding of `orderfleet doctor`: what was checked, the result, and the fix."""

from datetime import datetime
from typing import Final

from msgspec import Struct

_LARGEST_SKEW: Final = 1.0


class Finding(Struct, frozen=True):
    """The result of one check: what it found and, unless that is good, how to fix it.

    `ok` is None if the check could not be made from here.
    """

    name: str
    ok: bool | None
    found: str
    fix: str = ""


def compare_clock(server: str, time: datetime, before: datetime, after: datetime) -> Finding:
    """Compare a server's clock, read between two times of this machine, with this machine's."""
    ahead = (time - after).total_seconds()
    behind = (before - time).total_seconds()
    skew = max(ahead, behind, 0.0)
    side = "ahead of" if ahead > behind else "behind"
    found = f"{skew:.3f} s {side} this machine's" if skew else "agrees with this machine's"
    fix = f"set both clocks by NTP: they may differ by {_LARGEST_SKEW:g} s"
    return Finding(f"clock of {server}", skew < _LARGEST_SKEW, found, fix)
