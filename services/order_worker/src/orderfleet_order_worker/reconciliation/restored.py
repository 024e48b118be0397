"""Orders that a restored backup has lost: after the backup, only the gateways know of them.

Of an order that both databases know, the gateway's look-up of its payment id says whether it was
charged. Of an order that neither knows, the gateway's list of charges is all there is.
"""

from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from temporalio.client import Client

from orderfleet.domain import contract, policies
from orderfleet.domain.orders import OrderState, is_order_id
from orderfleet.gateways.protocols import ChargeStatus, ListedCharge
from orderfleet.store.pool import Pool
from orderfleet.store.reconciliation import LeftBehind, unknown_orders
from orderfleet.store.restore import restore_payment
from orderfleet.store.restores import (
    LostCharge,
    Restore,
    adopt_charge,
    finish_restore,
    save_listed,
    unpaid_ends,
)
from orderfleet_order_worker.metrics import MeasuredPaymentGateway, Phase
from orderfleet_order_worker.reconciliation.evidence import read_evidence
from orderfleet_order_worker.reconciliation.run import ReconciliationRun

log = structlog.stdlib.get_logger(__name__)

_BY: Final = {"by": contract.RECONCILE_WORKFLOW}
_FOUND: Final = "found at the payment gateway after a restore"
# By then the workflows of the backup have ended, and ReconcileOrders has seen their ends.
_WATCHED_SECONDS: Final = 60.0

# Starts the refund of an order with this reason; ends an order that has only its charge.
Refund = Callable[[LeftBehind, str], Awaitable[None]]
End = Callable[[LeftBehind], Awaitable[None]]


class RestoredOrders:
    """The phase that looks for what a restore has lost."""

    def __init__(self, pool: Pool, client: Client, gateway: MeasuredPaymentGateway) -> None:
        self._pool = pool
        self._client = client
        self._gateway = gateway

    async def is_charged(self, payment_id: str) -> bool:
        """Ask the gateway whether it has captured a payment."""
        return await self._gateway.lookup(payment_id) is ChargeStatus.CAPTURED

    async def find_lost(
        self, run: ReconciliationRun, restore: Restore, refund: Refund, end: End
    ) -> None:
        """Undo the charges that no record has, or find their packages delivered."""

        async def undo(order: LeftBehind) -> None:
            if await self.is_charged(order.payment_id):
                await restore_payment(self._pool, order.order_id, _BY)
                await refund(order, _FOUND)

        unpaid = await unpaid_ends(self._pool, restore, policies.RECONCILE_OVERLAP)
        await run.each(Phase.RESTORED, unpaid, lambda order: order.order_id, undo)
        listed = restore.listed or await self._compare_charges(run, restore, end)
        if listed and restore.age > _WATCHED_SECONDS and not run.failures:
            await finish_restore(self._pool, restore)
            log.info("restore is reconciled", since=restore.since.isoformat())

    async def _compare_charges(self, run: ReconciliationRun, restore: Restore, end: End) -> bool:
        """Compare the gateway's charges with the rows, page by page; return whether all are."""
        since, cursor = restore.since - policies.RECONCILE_OVERLAP, restore.listed_until
        while True:
            page = await self._gateway.list_charges(since, cursor)
            if page is None:
                log.warning(
                    "the payment gateway lists no charges: compare its report by hand",
                    since=restore.since.isoformat(),
                )
                await save_listed(self._pool, restore, "")
                return True
            await self._adopt(run, page.charges, end)
            if run.failures.get(Phase.RESTORED):
                return False
            cursor = page.next
            await save_listed(self._pool, restore, cursor)
            if not cursor:
                return True

    async def _adopt(self, run: ReconciliationRun, charges: list[ListedCharge], end: End) -> None:
        """Write the rows of charged orders that have none, unless Temporal knows them."""
        captured = {
            charge.order_id: charge for charge in charges if charge.status is ChargeStatus.CAPTURED
        }

        async def adopt(order_id: str) -> None:
            charge = captured[order_id]
            if not is_order_id(order_id):
                raise ValueError("not a valid order id: refund it by hand")
            if await read_evidence(self._client, order_id) is not None:
                return
            lost = LostCharge(
                order_id, charge.key, charge.amount, charge.currency, charge.created_at
            )
            if await adopt_charge(self._pool, lost, {**_BY, "reason": _FOUND}):
                await end(LeftBehind(order_id, charge.key, OrderState.RECEIVED, ""))

        unknown = await unknown_orders(self._pool, sorted(captured))
        await run.each(Phase.RESTORED, unknown, str, adopt)
