"""Postgres lost the last commits of an order: Temporal and the carrier say what became of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from orderfleet.domain.contract import REFUND_WORKFLOW, RefundInput, refund_id
from orderfleet.domain.orders import OrderState
from orderfleet.gateways.simulated import Fault
from orderfleet.store.pool import Pool
from orderfleet_api import order_service
from tests.integration.support.books import books
from tests.integration.support.fleet import Fleet, an_order, eventually, new_id
from tests.integration.support.reconciliation import lose_commits, reconcile, reconciled
from tests.integration.support.steps import Steps

# received, validated, reviewed with charging, charged, prepared, dispatching, fulfilled: after each
# of these commits Postgres may stand; 0 is an order without a row.
FULFILLED = ["received", "validated", "reviewed", "charging", "charged", "prepared", "dispatching"]
EACH_PREFIX = pytest.mark.parametrize("keep", [0, 1, 2, 4, 5, 6, 7])
UNRECALLABLE = Fault("recall", "refuse")


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no order be too young to be reconciled."""
    monkeypatch.setattr("orderfleet_order_worker.reconciliation.activities._GRACE", timedelta(0))


async def _fulfilled(fleet: Fleet) -> str:
    order_id = new_id()
    async with fleet.working():
        await order_service.accept(fleet.backends(), order_id, an_order(f"pay-{order_id}"))
        assert (await fleet.result(order_id)).state is OrderState.FULFILLED
    assert await fleet.event_types(order_id) == [*FULFILLED, "fulfilled"]
    return order_id


async def _listed(fleet: Fleet, order_id: str) -> None:
    """Wait until the workflow is among those that have closed."""

    async def closed() -> bool:
        query = f"WorkflowId = '{order_id}' AND ExecutionStatus != 'Running'"
        return (await fleet.temporal.count_workflows(query)).count > 0

    await eventually(closed)


@EACH_PREFIX
async def test_an_order_that_temporal_knows_fulfilled_is(
    fleet: Fleet, owner: Pool, keep: int
) -> None:
    order_id = await _fulfilled(fleet)
    await lose_commits(owner, order_id, keep)
    await _listed(fleet, order_id)
    runs = await reconciled(fleet, order_id, OrderState.FULFILLED, "captured")
    assert not any(run.failures or run.refunds_started for run in runs)
    found = await books(fleet.pool, order_id)
    assert found.events[-1]["payload_json"] == {
        "by": "ReconcileOrders",
        "reason": "reconciled: completed without a record",
        "tracking": f"SIM-{order_id}/1",
    }
    assert [one["status"] for one in found.charges] == ["captured"]
    assert [one["status"] for one in found.shipments] == ["taken"]


@asynccontextmanager
async def _handed_over(fleet: Fleet, *faults: Fault) -> AsyncIterator[str]:
    """Terminate an order whose package the carrier has taken and not yet said so."""
    order_id = new_id()
    hangs = Fault("dispatch", "hang_after", orders=order_id)
    async with fleet.working((hangs, *faults)):
        await order_service.accept(fleet.backends(), order_id, an_order(f"pay-{order_id}"))

        async def taken() -> bool:
            return bool((await books(fleet.pool, order_id)).taken)

        await eventually(taken)
        await fleet.workflow(order_id).terminate("a person did it")
        await _listed(fleet, order_id)
        yield order_id


@EACH_PREFIX
async def test_without_a_result_the_package_comes_back_before_the_money(
    fleet: Fleet, owner: Pool, keep: int
) -> None:
    async with _handed_over(fleet) as order_id:
        await lose_commits(owner, order_id, keep)
        await reconciled(fleet, order_id, OrderState.FAILED, "refunded")
    found = await books(fleet.pool, order_id)
    assert [one["status"] for one in found.shipments] == ["recalled"]
    types = [one["type"] for one in found.events]
    assert types.index("recalled") < types.index("refunded")


@EACH_PREFIX
async def test_a_package_that_cannot_be_called_back_is_paid_for(
    fleet: Fleet, owner: Pool, keep: int
) -> None:
    async with _handed_over(fleet, UNRECALLABLE) as order_id:
        await lose_commits(owner, order_id, keep)
        await reconciled(fleet, order_id, OrderState.FULFILLED, "captured")
    found = await books(fleet.pool, order_id)
    assert [one["status"] for one in found.charges] == ["captured"]
    assert [one["type"] for one in found.events][-2:] == ["failed", "fulfilled"]


@pytest.mark.parametrize("recallable", [True, False])
@pytest.mark.parametrize("keep", [2, 5])
async def test_an_order_that_temporal_does_not_know_is_asked_for_everywhere(
    fleet: Fleet, owner: Pool, keep: int, recallable: bool
) -> None:
    """As after the namespace's retention: its second package is out, and no history tells of it."""
    order_id = new_id()
    steps = Steps(fleet.pool, order_id)
    for step in (steps.receive(), steps.validate(), steps.charge(), steps.prepare()):
        await step(fleet.pool, 1)
    await steps.dispatch(attempt=2)(fleet.pool, 1)
    assert await fleet.state(order_id) is OrderState.FULFILLED
    await lose_commits(owner, order_id, keep)
    async with fleet.working(() if recallable else (UNRECALLABLE,)):
        if recallable:
            await reconciled(fleet, order_id, OrderState.FAILED, "refunded")
        else:
            await reconciled(fleet, order_id, OrderState.FULFILLED, "captured")


@pytest.mark.parametrize("keep", [4, 5])
async def test_a_refund_that_was_done_is_found_again(fleet: Fleet, owner: Pool, keep: int) -> None:
    order_id = new_id()
    backends = fleet.backends()
    async with fleet.order_worker():
        await order_service.accept(backends, order_id, an_order(f"pay-{order_id}"))
        await fleet.reached(order_id, OrderState.CHARGED)
        await order_service.cancel(backends, order_id, "c", "")

        async def refunded() -> bool:
            return [one["status"] for one in (await books(owner, order_id)).payments] == [
                "refunded"
            ]

        await eventually(refunded)
        await fleet.result(order_id)
        await lose_commits(owner, order_id, keep)
        await reconciled(fleet, order_id, OrderState.CANCELLED, "refunded")


@pytest.mark.parametrize("keep", [2, 4, 5, 6, 7])
async def test_commits_lost_under_a_running_order_leave_nothing_unpaid_or_unrefunded(
    fleet: Fleet, owner: Pool, keep: int
) -> None:
    """They are lost while the carrier works; the order ends by itself or by ReconcileOrders."""
    order_id = new_id()
    slow = Fault("dispatch", "hang_after", orders=order_id, times=1, seconds=1.5)
    async with fleet.working((slow,)):
        await order_service.accept(fleet.backends(), order_id, an_order(f"pay-{order_id}"))

        async def taken() -> bool:
            return bool((await books(fleet.pool, order_id)).taken)

        await eventually(taken)
        await lose_commits(owner, order_id, keep)
        result = await fleet.result(order_id)
        if keep == len(FULFILLED):
            assert result.state is OrderState.FULFILLED
            return
        assert result.state is OrderState.FAILED
        await reconciled(fleet, order_id, OrderState.FAILED, "refunded")
    assert [one["status"] for one in (await books(fleet.pool, order_id)).shipments] == ["recalled"]


async def _refund_by_hand(fleet: Fleet, order_id: str) -> None:
    await fleet.temporal.execute_workflow(
        REFUND_WORKFLOW,
        RefundInput(
            order_id=order_id,
            payment_id=f"pay-{order_id}",
            state=OrderState.CANCELLED,
        ),
        id=refund_id(order_id),
        task_queue=fleet.common()["order_task_queue"],
    )


async def test_a_refund_by_hand_of_a_fulfilled_order_keeps_its_money(fleet: Fleet) -> None:
    order_id = await _fulfilled(fleet)
    async with fleet.working():
        await _refund_by_hand(fleet, order_id)
    found = await books(fleet.pool, order_id)
    assert [one["status"] for one in found.payments] == ["captured"]
    assert len(found.taken) == 1


async def test_a_refund_by_hand_calls_the_package_back_on_the_fleets_own_queue(
    fleet: Fleet, owner: Pool
) -> None:
    """It names no queue, and the default one is another fleet's."""
    async with _handed_over(fleet) as order_id:
        await lose_commits(owner, order_id, keep=6)
        await fleet.temporal.execute_workflow(
            REFUND_WORKFLOW,
            RefundInput(order_id=order_id, payment_id=f"pay-{order_id}", state=OrderState.FAILED),
            id=refund_id(order_id),
            task_queue=fleet.common()["order_task_queue"],
        )
        await reconciled(fleet, order_id, OrderState.FAILED, "refunded")
    found = await books(fleet.pool, order_id)
    assert [one["status"] for one in found.shipments] == ["recalled"]


async def test_a_refund_by_hand_of_an_order_in_review_ends_it_uncharged(fleet: Fleet) -> None:
    order_id = new_id()
    # Ten times what the refund needs.
    backends = fleet.backends(review_seconds=20.0)
    async with fleet.working():
        await order_service.accept(backends, order_id, an_order(f"pay-{order_id}"))
        await fleet.reached(order_id, OrderState.IN_REVIEW)
        await _refund_by_hand(fleet, order_id)
        assert (await fleet.result(order_id)).state is OrderState.CANCELLED
        assert not (await reconcile(fleet)).failures
    assert not (await books(fleet.pool, order_id)).charges
