"""A check: what was looked at, what was found, what to do about it."""

from datetime import datetime
from typing import Final

from msgspec import Struct

_SKEW: Final = 1.0


class Finding(Struct, frozen=True):
    """The outcome of one check; `found` is for all outcomes, `fix` for all but the good one.

    `ok` is None if it could not be looked at from here.
    """

    name: str
    ok: bool | None
    found: str
    fix: str = ""


def compare_clock(where: str, told: datetime, before: datetime, after: datetime) -> Finding:
    """Compare a clock, which told the time between two of our own looks, with ours."""
    ahead = (told - after).total_seconds()
    behind = (before - told).total_seconds()
    skew = max(ahead, behind, 0.0)
    side = "ahead of" if ahead > behind else "behind"
    found = f"{skew:.3f} s {side} this machine's" if skew else "agrees with this machine's"
    fix = f"set both clocks by NTP: they may differ by {_SKEW:g} s"
    return Finding(f"clock of {where}", skew < _SKEW, found, fix)
