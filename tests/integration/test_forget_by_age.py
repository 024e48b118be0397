"""ORDERFLEET_FORGET_AFTER_DAYS: the backstop has old orders forgotten."""

import pytest
from temporalio.testing import ActivityEnvironment

from orderfleet.domain.contract import forget_id
from orderfleet.domain.orders import OrderState
from orderfleet.store.pool import Pool
from orderfleet_order_worker.metrics import Phase
from orderfleet_order_worker.reconciliation.activities import ReconciliationActivities
from orderfleet_order_worker.reconciliation.run import ReconciliationSummary
from tests.integration.support.books import put_order, put_payment
from tests.integration.support.fleet import Fleet, eventually, new_id

_DAYS = 30.0


async def _reconcile(fleet: Fleet, days: float) -> ReconciliationSummary:
    settings = fleet.order_settings(forget_after_days=days)
    activities = ReconciliationActivities(fleet.pool, fleet.temporal, settings)
    summary: ReconciliationSummary = await ActivityEnvironment().run(activities.reconcile)
    return summary


async def _order(
    owner: Pool, state: OrderState, days: float = 31, payment: str = "", order_id: str = ""
) -> str:
    order_id = order_id or new_id()
    await put_order(owner, order_id, state)
    if payment:
        await put_payment(owner, order_id, payment)
    await owner.execute(
        "UPDATE orders SET created_at = now() - $2 * interval '1 day' WHERE id = $1", order_id, days
    )
    return order_id


async def _forgotten(fleet: Fleet) -> set[str]:
    rows = await fleet.pool.fetch("SELECT id FROM orders WHERE forgotten_at IS NOT NULL")
    return {row["id"] for row in rows}


async def test_by_default_no_order_is_forgotten(fleet: Fleet, owner: Pool) -> None:
    order_id = await _order(owner, OrderState.FULFILLED, days=10_000)
    summary = await _reconcile(fleet, fleet.order_settings().forget_after_days)
    assert summary.failures == {}
    query = f"WorkflowId = '{forget_id(order_id)}'"
    assert (await fleet.temporal.count_workflows(query)).count == 0


async def test_old_orders_are_forgotten_and_one_that_fails_stops_no_other(
    fleet: Fleet, owner: Pool
) -> None:
    await _order(owner, OrderState.FULFILLED, days=29)
    await _order(owner, OrderState.CANCELLED, payment="captured")
    # Temporal takes no such id.
    await _order(owner, OrderState.FULFILLED, days=99, order_id="x" * 2000)
    due = {
        await _order(owner, OrderState.FULFILLED, payment="captured"),
        await _order(owner, OrderState.CANCELLED, payment="refunded"),
        await _order(owner, OrderState.REJECTED),
    }
    async with fleet.order_worker():
        summary = await _reconcile(fleet, _DAYS)
        assert summary.failures == {Phase.FORGET: 1}

        async def done() -> bool:
            return await _forgotten(fleet) == due

        await eventually(done)
        before = await fleet.temporal.count_workflows("WorkflowType = 'ForgetWorkflow'")
        await _reconcile(fleet, _DAYS)
    after = await fleet.temporal.count_workflows("WorkflowType = 'ForgetWorkflow'")
    assert after.count == before.count


async def test_a_run_forgets_no_more_than_so_many(
    fleet: Fleet, owner: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orderfleet.domain.policies.FORGET_AT_ONCE", 2)
    due = {await _order(owner, OrderState.FULFILLED) for _ in range(5)}
    async with fleet.order_worker():
        for most in (2, 4, 5):
            await _reconcile(fleet, _DAYS)

            async def done(most: int = most) -> bool:
                return len(await _forgotten(fleet)) == most

            await eventually(done)
    assert await _forgotten(fleet) == due


async def test_the_oldest_are_found_by_their_index(owner: Pool) -> None:
    await _order(owner, OrderState.FULFILLED)
    async with owner.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL enable_seqscan = off")
        plan = await connection.fetch(
            "EXPLAIN SELECT id FROM orders WHERE forgotten_at IS NULL"
            " AND state IN ('fulfilled', 'cancelled', 'rejected', 'failed', 'timed_out')"
            " AND created_at < now() - interval '30 days' ORDER BY created_at, id LIMIT 1000"
        )
    assert "orders_unforgotten" in plan[1][0], plan
