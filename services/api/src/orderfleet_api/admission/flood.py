"""Floods: tenants most of whose orders are refused beside one that gets in, and their pace.

All that a flood offers would come in the moment a place is free, in bursts which then queue before
every step of everybody's orders. So what still gets in of it does so evenly.
"""

from collections import Counter, deque
from typing import Final

from orderfleet_api.admission.window import append
from orderfleet_api.tenants import Rate, TokenBucket

_SECONDS: Final = 5.0
# For so long after its last order a tenant is one beside which others flood: some order seldom.
_QUIET_SECONDS: Final = 60.0
# So much of the pace may come at once, or orders that come unevenly are refused without need.
_BURST_SECONDS: Final = 0.5


class Flood:
    """What each tenant has offered to a pod in the last seconds, and the pace of what gets in."""

    def __init__(self) -> None:
        self.tenants: frozenset[str] = frozenset()
        # Refused orders by tenant, less those that were let in.
        self._refused: Counter[str] = Counter()
        self._lately: deque[tuple[float, Counter[str]]] = deque()
        self._let_in_at: dict[str, float] = {}
        self._pace = TokenBucket(Rate(1, 1), now=0)

    def offered(self, tenant: str, now: float, *, refused: bool) -> None:
        """Note a new order of a tenant."""
        self._refused[tenant] += 1 if refused else -1
        if not refused:
            self._let_in_at[tenant] = now

    def observe(self, now: float, pace: float) -> None:
        """Look at what was offered; called every half second or so.

        Args:
            now: the time.
            pace: how many orders a second may come of floods.
        """
        append(self._lately, now, self._refused, _SECONDS)
        self._refused = Counter()
        balance: Counter[str] = Counter()
        for _, refused in self._lately:
            balance.update(refused)
        refused_most = frozenset(tenant for tenant, most in balance.items() if most > 0)
        since = now - _QUIET_SECONDS
        quiet = {tenant for tenant, at in self._let_in_at.items() if at > since} - refused_most
        # Where nobody gets in, as after an outage, there is nobody to give way to.
        self.tenants = refused_most if quiet else frozenset()
        self._pace.rate = Rate(pace, max(1, round(pace * _BURST_SECONDS)))

    def lets_in(self, now: float) -> bool:
        """Tell whether an order of a flood may come now; if it may, it takes its turn."""
        return not self._pace.take(now)
