"""Runs of ReconcileOrders' activity, and what they must leave behind."""

from temporalio.testing import ActivityEnvironment

from orderfleet.domain.orders import OrderState
from orderfleet.store.pool import Pool
from orderfleet.store.simulated_ledger import balance
from orderfleet_order_worker.metrics import OrderWorkerMetrics
from orderfleet_order_worker.reconciliation.activities import ReconciliationActivities
from orderfleet_order_worker.reconciliation.run import ReconciliationSummary
from tests.integration.support.books import books
from tests.integration.support.fleet import Fleet, eventually


async def reconcile(
    fleet: Fleet, metrics: OrderWorkerMetrics | None = None
) -> ReconciliationSummary:
    """Run the activity once."""
    activities = ReconciliationActivities(
        fleet.pool, fleet.temporal, fleet.order_settings(), metrics
    )
    summary: ReconciliationSummary = await ActivityEnvironment().run(activities.reconcile)
    return summary


async def reconciled(
    fleet: Fleet, order_id: str, state: OrderState, payment: str | None
) -> list[ReconciliationSummary]:
    """Reconcile until the order has its end and its payment too, then hold the books together."""
    runs = []

    async def done() -> bool:
        runs.append(await reconcile(fleet))
        found = await books(fleet.pool, order_id)
        statuses = [one["status"] for one in found.payments]
        return found.order.get("state") == state and statuses == ([payment] if payment else [])

    await eventually(done)
    found = await balance(fleet.pool)
    assert found.balanced, found
    before = await books(fleet.pool, order_id)
    assert [one["type"] for one in before.events].count(state) == 1
    assert [one["number"] for one in before.events] == list(range(1, len(before.events) + 1))
    await reconcile(fleet)
    assert await books(fleet.pool, order_id) == before
    return runs


async def lose_commits(owner: Pool, order_id: str, keep: int) -> None:
    """Take an order's rows back to what they were after its event number `keep`.

    It is what a failover to a standby leaves that had not heard of the later commits.
    """
    await owner.execute("DELETE FROM events WHERE order_id = $1 AND number > $2", order_id, keep)
    types = {
        row["type"]
        for row in await owner.fetch("SELECT type FROM events WHERE order_id = $1", order_id)
    }
    if "charging" not in types:
        await owner.execute("DELETE FROM payments WHERE order_id = $1", order_id)
    elif "charged" not in types:
        await owner.execute("UPDATE payments SET status = 'pending' WHERE order_id = $1", order_id)
    else:
        await owner.execute("UPDATE payments SET status = 'captured' WHERE order_id = $1", order_id)
    if not types:
        await owner.execute("DELETE FROM orders WHERE id = $1", order_id)
        return
    states = [
        ("dispatching", "dispatching"),
        ("prepared", "shipping"),
        ("charged", "charged"),
        ("charging", "charging"),
        ("validated", "in_review"),
        ("received", "received"),
    ]
    await owner.execute(
        "UPDATE orders SET state = $2, event_count = $3,"
        " dispatch_key = CASE WHEN $4 THEN dispatch_key END,"
        " dispatch_claim = CASE WHEN $4 THEN dispatch_claim END WHERE id = $1",
        order_id,
        next(state for event, state in states if event in types),
        keep,
        "dispatching" in types,
    )
