"""Which orders the limit lets in when several tenants place orders."""

from dataclasses import dataclass

from orderfleet_api.admission.limiter import Limiter
from orderfleet_api.admission.metrics import Reason
from orderfleet_api.admission.waiting import WaitingOrders


@dataclass(frozen=True)
class Shares:
    """The limit of a pod: while it is reached, the tenants with pending orders divide it."""

    limiter: Limiter
    orders: WaitingOrders

    def refusal(self, tenant: str, *, background: bool = False) -> Reason | None:
        """Return why the limit keeps an order of the tenant out, None if it does not."""
        waiting, pending = self.orders.count, self.orders.pending
        if self.limiter.admits(waiting, pending, background=background):
            return None
        by_tenant = self.orders.pending_by_tenant
        sharing = len(by_tenant.keys() | {tenant})
        if background or sharing == 1:
            return Reason.BUSY
        # A tenant within its share gets in beside those that have filled the limit: if it would
        # with as many orders of each.
        own = self.orders.by_tenant.get(tenant, 0), by_tenant.get(tenant, 0)
        if self.limiter.admits(*(sharing * orders for orders in own)):
            return None
        return Reason.SHARE
