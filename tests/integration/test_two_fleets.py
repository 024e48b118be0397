"""Two fleets in one namespace of Temporal, with task queues and databases of their own."""

from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from http import HTTPStatus
from uuid import uuid4

import pytest
from litestar.plugins.problem_details import ProblemDetailsException
from temporalio.client import (
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleSpec,
    ScheduleState,
)
from temporalio.service import RPCError, RPCStatusCode

from orderfleet.domain.contract import RECONCILE_SCHEDULE, RECONCILE_WORKFLOW, reconcile_schedule
from orderfleet.domain.orders import OrderState
from orderfleet.domain.policies import TASK_TIMEOUT
from orderfleet.store.pool import Pool, open_pool
from orderfleet.temporal.visibility import of_queue
from orderfleet_api import order_service
from orderfleet_order_worker.reconciliation.schedule import schedule_reconciliation
from tests.integration.support.books import put_order
from tests.integration.support.fleet import Fleet, an_order, eventually, new_id
from tests.integration.support.reconciliation import reconcile, reconciled
from tests.integration.support.servers import Servers


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no order be too young to be reconciled."""
    monkeypatch.setattr("orderfleet_order_worker.reconciliation.activities._GRACE", timedelta(0))


@pytest.fixture
async def elder(servers: Servers, fleet: Fleet) -> AsyncIterator[Fleet]:
    """Another fleet, that was there before."""
    async with (
        servers.database() as database,
        open_pool(database.url, size=10, wait_seconds=0) as pool,
    ):
        suffix = uuid4().hex[:8]
        yield replace(fleet, database=database, pool=pool, gateway_pool=pool, suffix=suffix)


async def _action(fleet: Fleet, schedule_id: str) -> ScheduleActionStartWorkflow | None:
    try:
        found = await fleet.temporal.get_schedule_handle(schedule_id).describe()
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        return None
    assert isinstance(found.schedule.action, ScheduleActionStartWorkflow)
    return found.schedule.action


async def _delete(fleet: Fleet, *schedule_ids: str) -> None:
    for schedule_id in schedule_ids:
        with suppress(RPCError):
            await fleet.temporal.get_schedule_handle(schedule_id).delete()


async def _closed(fleet: Fleet, order_id: str) -> None:
    async def there() -> bool:
        query = f"WorkflowId = '{order_id}' AND ExecutionStatus != 'Running'"
        return (await fleet.temporal.count_workflows(query)).count > 0

    await eventually(there)


async def test_each_has_its_schedule(fleet: Fleet, elder: Fleet) -> None:
    ids = []
    try:
        for one in (elder, fleet, elder):
            settings = one.order_settings()
            await schedule_reconciliation(one.temporal, settings)
            ids.append(reconcile_schedule(settings.order_task_queue))
        assert len(set(ids)) == 2
        for one in (elder, fleet):
            queue = one.common()["order_task_queue"]
            action = await _action(one, reconcile_schedule(queue))
            assert action is not None
            assert action.task_queue == queue
            assert action.task_timeout == TASK_TIMEOUT
    finally:
        await _delete(fleet, *ids)


def test_the_fleet_of_the_default_queue_keeps_the_name() -> None:
    assert reconcile_schedule("orders-tq") == RECONCILE_SCHEDULE == "reconcile-orders"


@pytest.mark.parametrize("suffixed", [True, False])
@pytest.mark.parametrize("own", [True, False])
async def test_the_schedule_of_a_release_before_is_deleted_by_its_fleet_alone(
    fleet: Fleet, elder: Fleet, own: bool, suffixed: bool
) -> None:
    settings = fleet.order_settings()
    queue = (fleet if own else elder).common()["order_task_queue"]
    schedule_id = f"settle-orders-{queue}" if suffixed else "settle-orders"
    before = Schedule(
        action=ScheduleActionStartWorkflow("SettleOrders", id=schedule_id, task_queue=queue),
        spec=ScheduleSpec(),
        state=ScheduleState(paused=True),
    )
    await _delete(fleet, schedule_id)
    try:
        await fleet.temporal.create_schedule(schedule_id, before)
        await schedule_reconciliation(fleet.temporal, settings)
        assert (await _action(fleet, schedule_id) is None) == own
        action = await _action(fleet, reconcile_schedule(settings.order_task_queue))
        assert action is not None
        assert action.workflow == RECONCILE_WORKFLOW == "ReconcileOrders"
    finally:
        await _delete(fleet, schedule_id, reconcile_schedule(settings.order_task_queue))


async def test_the_younger_leaves_the_elders_orders_alone(fleet: Fleet, elder: Fleet) -> None:
    order_id = new_id()
    await order_service.accept(elder.backends(), order_id, an_order(f"pay-{order_id}"))
    await elder.workflow(order_id).terminate("before any worker came")
    await _closed(elder, order_id)
    assert not (await reconcile(fleet)).failures
    assert await fleet.state(order_id) is None
    await reconciled(elder, order_id, OrderState.FAILED, None)


async def test_the_same_order_of_another_fleet_is_no_repeat(fleet: Fleet, elder: Fleet) -> None:
    order_id = new_id()
    order = an_order(f"pay-{order_id}")
    await order_service.accept(elder.backends(), order_id, order)
    with pytest.raises(ProblemDetailsException) as raised:
        await order_service.accept(fleet.backends(), order_id, order)
    assert raised.value.status_code == HTTPStatus.CONFLICT
    assert await fleet.state(order_id) is None


async def test_an_order_whose_id_is_the_others_is_unknown_to_temporal(
    fleet: Fleet, elder: Fleet, owner: Pool
) -> None:
    order_id = new_id()
    await order_service.accept(elder.backends(), order_id, an_order(f"other-{order_id}"))
    await put_order(owner, order_id, OrderState.IN_REVIEW)
    async with fleet.working():
        await reconciled(fleet, order_id, OrderState.FAILED, "voided")
    assert await elder.state(order_id) is OrderState.RECEIVED
    reason = (await fleet.events(order_id))[-2].payload["reason"]
    assert reason == "reconciled: Temporal does not know the order"


async def test_an_order_that_runs_on_a_queue_renamed_since_is_left_alone(fleet: Fleet) -> None:
    order_id = new_id()
    await order_service.accept(fleet.backends(), order_id, an_order(f"pay-{order_id}"))
    renamed = replace(fleet, suffix=uuid4().hex[:8])
    assert not (await reconcile(renamed)).ended
    assert await fleet.state(order_id) is OrderState.RECEIVED


async def test_any_name_of_a_queue_is_asked_for(fleet: Fleet) -> None:
    for queue in ("it's", "a\\b", 'a "b"', "a' OR '1' = '1"):
        query = of_queue(RECONCILE_WORKFLOW, queue)
        assert (await fleet.temporal.count_workflows(query)).count == 0
