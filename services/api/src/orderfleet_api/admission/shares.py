"""Which orders get in: the limit, its shares when several tenants place orders, and floods."""

from collections.abc import Mapping

from orderfleet.store.progress import Progress
from orderfleet_api.admission.flood import Flood
from orderfleet_api.admission.limiter import Limiter
from orderfleet_api.admission.metrics import Reason
from orderfleet_api.admission.waiting import WaitingOrders


class Shares:
    """The limit of a pod: while it is reached, the tenants with pending orders divide it."""

    def __init__(self, limiter: Limiter, orders: WaitingOrders) -> None:
        self._limiter = limiter
        self._orders = orders
        self._flood = Flood()

    def observe(self, now: float, progress: Mapping[str, Progress]) -> None:
        """Take in how far the orders have come, and adjust the limit."""
        self._flood.observe(now, self._limiter.pace(self._orders.pending))
        self._limiter.observe(now, self._orders.observe(now, progress))

    def refusal(self, tenant: str, now: float, *, background: bool = False) -> Reason | None:
        """Return why a new order of the tenant is kept out now, None if it is not."""
        reason = self._refusal(tenant, now, background=background)
        self._flood.offered(tenant, now, refused=reason is not None)
        return reason

    def _refusal(self, tenant: str, now: float, *, background: bool) -> Reason | None:
        waiting, pending = self._orders.count, self._orders.pending
        flood = tenant in self._flood.tenants
        fits = self._limiter.admits(waiting, pending, background=background, flood=flood)
        if fits and not flood:
            return None
        by_tenant = self._orders.pending_by_tenant
        sharing = len(by_tenant.keys() | {tenant})
        shared = sharing > 1 and not background
        # A tenant within its share gets in beside those that have filled the limit: if it would
        # with as many orders of each.
        own = self._orders.by_tenant.get(tenant, 0), by_tenant.get(tenant, 0)
        if shared and self._limiter.admits(*(sharing * orders for orders in own), flood=flood):
            return None
        if fits and self._flood.lets_in(now):
            return None
        return Reason.SHARE if shared else Reason.BUSY
