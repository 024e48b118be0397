"""The order in which tasks come out of a backlog: by priority key, then by turns of the tenants."""

from datetime import timedelta
from http import HTTPStatus
from typing import Any, Final

import httpx
import msgspec
import pytest
from prometheus_client import CollectorRegistry
from temporalio.api.enums.v1 import EventType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import (
    PollActivityTaskQueueRequest,
    PollWorkflowTaskQueueRequest,
)
from temporalio.client import (
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleSpec,
    ScheduleState,
)
from temporalio.common import Priority
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from orderfleet.domain import contract, priorities
from orderfleet.domain.contract import Cancel
from orderfleet.domain.orders import OrderState
from orderfleet.gateways.simulated import Fault, SimulatedPaymentGateway
from orderfleet.observability.worker_metrics import WorkerMetrics
from orderfleet.runtime.worker import interceptors
from orderfleet.store.pool import Pool
from orderfleet.temporal.task_queues import describe_task_queue
from orderfleet.temporal.unversioned import UnversionedWorkflowRunner
from orderfleet_api import order_service
from orderfleet_order_worker.activities import OrderActivities
from orderfleet_order_worker.main import WORKFLOWS
from orderfleet_order_worker.reconciliation.schedule import schedule_reconciliation
from tests.integration.support.books import put_order, put_payment
from tests.integration.support.fleet import Fleet, an_order, eventually, new_id
from tests.integration.support.reconciliation import reconcile

_EACH: Final = 3


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no order be too young to be reconciled."""
    monkeypatch.setattr("orderfleet_order_worker.reconciliation.activities._GRACE", timedelta(0))


async def _accept(fleet: Fleet, kind: str, *, tenant: str = "", background: bool = False) -> str:
    order_id = new_id(kind)
    order = an_order(f"pay-{order_id}")
    if kind == "rejected":
        order = msgspec.structs.replace(order, items=[])
    backends = fleet.backends()
    await order_service.accept(backends, order_id, order, actor=tenant, background=background)
    return order_id


async def _owe_refund(owner: Pool) -> None:
    order_id = new_id("owed")
    await put_order(owner, order_id, OrderState.FAILED)
    await put_payment(owner, order_id, "captured")


async def _reconcile_by_schedule(fleet: Fleet) -> None:
    """Start ReconcileOrders as its schedule does."""
    await schedule_reconciliation(fleet.temporal, fleet.order_settings(reconcile_seconds=0))
    handle = fleet.temporal.get_schedule_handle(_schedule(fleet))
    await handle.trigger()

    async def started() -> bool:
        return bool((await handle.describe()).info.recent_actions)

    await eventually(started)


def _schedule(fleet: Fleet) -> str:
    return contract.reconcile_schedule(fleet.order_settings().order_task_queue)


def _workflows_alone(fleet: Fleet) -> Worker:
    """Build an order worker that leaves the queue's activities alone."""
    settings = fleet.order_settings()
    activities = OrderActivities(
        fleet.pool,
        SimulatedPaymentGateway(fleet.pool, ()),
        shipping_task_queue=settings.shipping_task_queue,
    )
    return Worker(
        fleet.temporal,
        task_queue=settings.order_task_queue,
        workflows=WORKFLOWS,
        activities=activities.all(),
        interceptors=interceptors("", WorkerMetrics(CollectorRegistry())),
        workflow_runner=UnversionedWorkflowRunner(UnsandboxedWorkflowRunner()),
        no_remote_activities=True,
    )


async def _waiting(fleet: Fleet, type_: str, count: int) -> None:
    """Wait until so many tasks wait in the queue: they get there some time after their cause."""

    async def there() -> bool:
        described = await describe_task_queue(fleet.temporal, _queue(fleet).name, type_)
        return described.stats.approximate_backlog_count == count

    await eventually(there)


async def _next_workflow_tasks(fleet: Fleet, backlog: int, count: int) -> list[str]:
    """Take tasks out of a backlog of workflow tasks; return the kinds of their workflows."""
    await _waiting(fleet, "workflow", backlog)
    request = PollWorkflowTaskQueueRequest(
        namespace=fleet.temporal.namespace, task_queue=_queue(fleet), identity="test"
    )
    poll = fleet.temporal.workflow_service.poll_workflow_task_queue
    return [_kind((await poll(request)).workflow_execution.workflow_id) for _ in range(count)]


async def _next_activities(fleet: Fleet, backlog: int, count: int) -> list[tuple[str, str]]:
    """Take tasks out of a backlog of activities; return types and the kinds of their workflows."""
    await _waiting(fleet, "activity", backlog)
    request = PollActivityTaskQueueRequest(
        namespace=fleet.temporal.namespace, task_queue=_queue(fleet), identity="test"
    )
    poll = fleet.temporal.workflow_service.poll_activity_task_queue
    tasks = [await poll(request) for _ in range(count)]
    return [(task.activity_type.name, _kind(task.workflow_execution.workflow_id)) for task in tasks]


def _queue(fleet: Fleet) -> TaskQueue:
    return TaskQueue(name=fleet.order_settings().order_task_queue)


def _kind(workflow_id: str) -> str:
    return workflow_id.partition("-")[0]


async def test_first_tasks_of_workflows(fleet: Fleet, owner: Pool) -> None:
    for _ in range(_EACH):
        await _owe_refund(owner)
    await reconcile(fleet)
    await _reconcile_by_schedule(fleet)
    for _ in range(_EACH):
        await _accept(fleet, "background", background=True)
    for _ in range(_EACH):
        await _accept(fleet, "normal")
    kinds = await _next_workflow_tasks(fleet, 3 * _EACH + 1, 3 * _EACH + 1)
    assert kinds[:_EACH] == ["normal"] * _EACH
    assert sorted(kinds[_EACH:-_EACH]) == ["owed"] * _EACH + ["reconcile"]
    assert kinds[-_EACH:] == ["background"] * _EACH


async def test_activities(fleet: Fleet, owner: Pool) -> None:
    for _ in range(_EACH):
        await _owe_refund(owner)
    await reconcile(fleet)
    await _reconcile_by_schedule(fleet)
    async with _workflows_alone(fleet):
        # `end` of each refund, and `reconcile`.
        await _waiting(fleet, "activity", _EACH + 1)
        for kind in ("background", "normal"):
            for _ in range(_EACH):
                order_id = await _accept(fleet, kind, background=kind == "background")
                await fleet.reached(order_id, OrderState.IN_REVIEW)
                await fleet.workflow(order_id).signal(contract.CANCEL_SIGNAL, Cancel())
        for _ in range(_EACH):
            await _accept(fleet, "rejected")
        tasks = await _next_activities(fleet, 6 * _EACH + 1, 6 * _EACH + 1)
    key = {
        ("end", "rejected"): 1,
        ("charge", "normal"): 2,
        ("charge", "background"): 2,
        ("cancel", "normal"): 3,
        ("end", "owed"): 4,
        ("reconcile", "reconcile"): 4,
        ("cancel", "background"): 5,
    }
    assert set(tasks) == set(key)
    keys = [key[task] for task in tasks]
    assert keys == sorted(keys)


async def test_the_second_tenant_does_not_wait_for_all_of_the_first(fleet: Fleet) -> None:
    for _ in range(12):
        await _accept(fleet, "many", tenant="many")
    for _ in range(_EACH):
        await _accept(fleet, "few", tenant="few")
    kinds = await _next_workflow_tasks(fleet, 12 + _EACH, 8)
    assert kinds.count("few") == _EACH
    # The charges too: they have a key of their own, and the tenant of their workflow.
    async with _workflows_alone(fleet):
        charges = await _next_activities(fleet, 12 + _EACH, 8)
    assert charges.count(("charge", "few")) == _EACH


@pytest.mark.parametrize(("header", "key"), [("u=7", 5), ("u=6, i", 3), ("\xff", 3)])
async def test_the_header_of_a_request_makes_a_background_order(
    fleet: Fleet, http: httpx.AsyncClient, header: str, key: int
) -> None:
    address = {"street": "1 Home Street", "city": "Hometown"}
    headers = {b"Priority": header.encode("latin-1"), b"Idempotency-Key": new_id("key").encode()}
    for path in (f"/orders/{new_id()}/start", "/orders"):
        body = {"payment_id": new_id("pay"), "address": address}
        answer = await http.post(path, json=body, headers=headers)
        assert answer.status_code == HTTPStatus.ACCEPTED
        started = await _recorded(fleet, answer.json()["order_id"])
        assert started == {"started": Priority(priority_key=key)}


async def test_the_histories_have_the_keys(fleet: Fleet) -> None:
    async with fleet.working((Fault("dispatch", "refuse"),)):
        order_id = await _accept(fleet, "normal", tenant="shop")
        await fleet.result(order_id)
        refund = fleet.temporal.get_workflow_handle(contract.refund_id(order_id))
        await refund.result()
    order = await _recorded(fleet, order_id)
    assert order["started"] == Priority(priority_key=3, fairness_key="shop")
    assert order["charge"] == priorities.CHARGE
    assert order[contract.SHIPPING_WORKFLOW] == priorities.SHIPPING
    assert order["end"] == priorities.END
    assert order[contract.REFUND_WORKFLOW] == priorities.UNDO
    shipping = await _recorded(fleet, contract.shipping_id(order_id, 1))
    assert shipping["started"] == Priority(priority_key=1, fairness_key="shop")
    assert shipping["dispatch"] == priorities.SHIPPING
    undone = await _recorded(fleet, contract.refund_id(order_id))
    assert undone.pop("started") == Priority(priority_key=4, fairness_key="shop")
    assert undone == dict.fromkeys(("end", "trace", "refund"), priorities.UNDO)


async def _recorded(fleet: Fleet, workflow_id: str) -> dict[str, Priority]:
    """Return the priorities in a history: of the workflow, its activities and its children."""
    found: dict[str, Any] = {}
    async for event in fleet.workflow(workflow_id).fetch_history_events():
        match event.event_type:
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
                found["started"] = event.workflow_execution_started_event_attributes.priority
            case EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
                scheduled = event.activity_task_scheduled_event_attributes
                found[scheduled.activity_type.name] = scheduled.priority
            case EventType.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED:
                child = event.start_child_workflow_execution_initiated_event_attributes
                found[child.workflow_type.name] = child.priority
    return {
        name: Priority(
            priority_key=recorded.priority_key or None,
            fairness_key=recorded.fairness_key or None,
        )
        for name, recorded in found.items()
    }


async def test_a_schedule_of_a_release_before_gets_the_key(fleet: Fleet) -> None:
    action = ScheduleActionStartWorkflow(
        contract.RECONCILE_WORKFLOW, id=_schedule(fleet), task_queue=_queue(fleet).name
    )
    paused = Schedule(action=action, spec=ScheduleSpec(), state=ScheduleState(paused=True))
    handle = await fleet.temporal.create_schedule(_schedule(fleet), paused)
    await schedule_reconciliation(fleet.temporal, fleet.order_settings(reconcile_seconds=0))
    updated = (await handle.describe()).schedule.action
    assert isinstance(updated, ScheduleActionStartWorkflow)
    assert updated.priority == priorities.RECONCILE
