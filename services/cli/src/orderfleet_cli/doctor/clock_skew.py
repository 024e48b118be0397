"""The check of `orderfleet doctor` whether two clocks agree."""

from datetime import datetime
from typing import Final

from orderfleet_cli.doctor.finding import Finding

_LARGEST_SKEW: Final = 1.0


def compare_clock(server: str, time: datetime, before: datetime, after: datetime) -> Finding:
    """Compare a server's clock, read between two times of this machine, with this machine's."""
    ahead = (time - after).total_seconds()
    behind = (before - time).total_seconds()
    skew = max(ahead, behind, 0.0)
    side = "ahead of" if ahead > behind else "behind"
    found = f"{skew:.3f} s {side} this machine's" if skew else "agrees with this machine's"
    fix = f"set both clocks by NTP: they may differ by {_LARGEST_SKEW:g} s"
    return Finding(f"clock of {server}", skew < _LARGEST_SKEW, found, fix)
