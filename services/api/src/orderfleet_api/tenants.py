"""The rates of tenants: how many orders a second the owner of an API key may place.

The token bucket is written by hand: no maintained library returns the wait without sleeping.
"""

import re
from collections.abc import Container
from math import ceil
from typing import Final, NamedTuple

from orderfleet.environment import SettingsError

_RATE: Final = re.compile(
    r"([A-Za-z0-9._-]{1,64}):([0-9]{1,6}(?:\.[0-9]{1,6})?)(?::([0-9]{1,6}))?", re.ASCII
)


class Rate(NamedTuple):
    """Orders a second, and how many of them may come at once."""

    per_second: float
    burst: int


class TokenBucket:
    """A bucket that is full at first and gets `per_second` tokens a second, up to `burst`.

    The caller passes the time, of any clock that never goes back, and may change the rate.
    """

    __slots__ = ("_at", "_tokens", "rate")

    def __init__(self, rate: Rate, now: float) -> None:
        self.rate = rate
        self._tokens = float(rate.burst)
        self._at = now

    def take(self, now: float) -> float:
        """Take a token and return 0, or return the seconds until there is one."""
        per_second, burst = self.rate
        self._tokens = min(burst, self._tokens + (now - self._at) * per_second)
        self._at = now
        if self._tokens < 1:
            return (1 - self._tokens) / per_second
        self._tokens -= 1
        return 0.0


def parse_rates(text: str, names: Container[str] | None) -> dict[str, Rate]:
    """Return the rates by tenant from `name:rate[:burst],...`; without a burst it is the rate.

    Args:
        text: the setting.
        names: of the keys; None if any key may come.

    Raises:
        SettingsError: it is something else, a name comes twice or is not among the keys' names, or
            a rate or a burst is 0.
    """
    rates: dict[str, Rate] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        match = _RATE.fullmatch(part)
        if match is None or match[1] in rates:
            raise SettingsError(
                "ORDERFLEET_TENANT_RATES: expected name:rate[:burst],... with each name once"
                f" (got {part[:80]!r})"
            )
        name, per_second = match[1], float(match[2])
        burst = ceil(per_second) if match[3] is None else int(match[3])
        if not per_second or not burst:
            raise SettingsError(f"ORDERFLEET_TENANT_RATES: {name}: rate and burst must be above 0")
        if names is not None and name not in names:
            raise SettingsError(f"ORDERFLEET_TENANT_RATES: no key in ORDERFLEET_API_KEYS is {name}")
        rates[name] = Rate(per_second, burst)
    return rates
