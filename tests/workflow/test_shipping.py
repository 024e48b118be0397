import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError
from temporalio.exceptions import ApplicationError

from orderfleet.domain import contract
from orderfleet.domain.contract import (
    CARRIER_REFUSED,
    ORDER_CLOSED,
    ShippingInput,
    ShippingResult,
    StepStatus,
)
from orderfleet.domain.orders import OrderState
from tests.workflow.actions import after, fail, hang, reply_lost
from tests.workflow.fleet import HOME, Fleet
from tests.workflow.world import Row

REFUSED = fail("strike", CARRIER_REFUSED, permanent=True)


async def test_it_is_tried_again_with_a_back_off(fleet: Fleet) -> None:
    case = fleet.order()
    case.script("carrier", REFUSED, REFUSED)
    await case.start()
    end = await case.end()
    assert end.result.state is OrderState.FULFILLED
    assert end.status.shipping_attempts == 3
    # Review 2 s, back-off 1 s and then 2 s.
    assert 5 <= end.seconds < 12
    assert end.status.steps["dispatch"] == StepStatus(3, ["strike", "strike"], "strike")
    assert end.status.errors == ["dispatch: strike", "dispatch: strike"]
    assert case.events.count("dispatch_failed") == 2
    # The child told of both before it failed.
    assert (await case.history()).count("EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED") == 2
    assert fleet.world.shipped(case.id) == [HOME.street]


async def test_three_failures_fail_the_order_and_give_the_money_back(fleet: Fleet) -> None:
    case = fleet.order()
    case.script("carrier", REFUSED, REFUSED, REFUSED)
    await case.start()
    end = await case.end()
    assert (end.result.state, end.result.reason) == (
        OrderState.FAILED,
        "shipping: dispatch: strike",
    )
    assert end.status.shipping_attempts == 3
    assert case.calls.count("dispatch") == 3
    assert end.refund is not None
    assert end.refund.payment == "refunded"


async def test_a_failed_preparation_is_a_failed_shipping_attempt(fleet: Fleet) -> None:
    case = fleet.order()
    case.script("prepare", fail("no box", permanent=True))
    await case.start()
    end = await case.end()
    assert end.result.state is OrderState.FULFILLED
    assert end.status.shipping_attempts == 2
    assert end.status.steps["prepare"] == StepStatus(2, ["no box"], "no box")
    # No store wrote this failure, so the workflow's note is its only record.
    assert case.events.count("dispatch_failed") == 1


async def test_an_unknown_outcome_is_taken_over_and_ships_once(fleet: Fleet) -> None:
    case = fleet.order()
    case.script("carrier", reply_lost, reply_lost, reply_lost)
    await case.start()
    end = await case.end()
    assert end.result.state is OrderState.FULFILLED
    assert end.status.shipping_attempts == 2
    assert len(fleet.world.packages) == 1


async def test_an_order_ended_by_someone_else_is_not_tried_again(fleet: Fleet) -> None:
    case = fleet.order()

    async def settled() -> None:
        case.row.state = OrderState.FAILED

    case.script("prepare", after(settled))
    await case.start()
    end = await case.end()
    assert end.result.state is OrderState.FAILED
    assert end.status.shipping_attempts == 1
    assert case.calls.count("prepare") == 1
    assert end.refund is not None


async def test_a_package_that_left_is_not_refunded_though_nobody_heard(fleet: Fleet) -> None:
    case = fleet.order()
    lost = ApplicationError("worker died", type="Died", non_retryable=True)

    async def dies() -> None:
        raise lost

    case.script("dispatch", after(dies))
    await case.start()
    end = await case.end()
    assert end.result.state is case.row.state is OrderState.FULFILLED
    assert end.searched == "fulfilled"
    assert end.refund is None
    assert len(fleet.world.packages) == 1


async def test_a_child_that_is_cut_off_times_the_order_out_and_recalls_first(
    fleet: Fleet,
) -> None:
    # An activity that hangs takes real time, so the order has little of it.
    case = fleet.order(deadline=3, review=0)
    case.script("carrier", after(asyncio.Event().wait))
    await case.start()
    end = await case.end()
    assert end.result.state is case.row.state is OrderState.TIMED_OUT
    assert end.seconds <= 3
    assert await case.child_closed(1) is not WorkflowExecutionStatus.COMPLETED
    assert end.refund is not None
    assert end.refund.recalled
    assert end.refund.payment == "refunded"
    assert case.calls.index("recall") < case.calls.index("refund")


async def test_alone_without_a_parent_it_ships(fleet: Fleet) -> None:
    case = fleet.order()
    fleet.world.rows[case.id] = Row(case.order, OrderState.CHARGED, HOME)
    result = await fleet.client.execute_workflow(
        contract.SHIPPING_WORKFLOW,
        ShippingInput(order_id=case.id),
        id=contract.shipping_id(case.id, 1),
        task_queue=contract.SHIPPING_TASK_QUEUE,
        result_type=ShippingResult,
    )
    assert (result.state, result.tracking) == (OrderState.FULFILLED, f"track-{case.id}/1")
    assert result.steps == {"prepare": StepStatus(1), "dispatch": StepStatus(1)}
    # Prepared, and the dispatch under way, in one workflow task.
    history = [event.event_type async for event in _shipping(fleet, case.id)]
    begun = history.index(EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED) + 1
    assert history[begun : begun + 2] == [
        EventType.EVENT_TYPE_MARKER_RECORDED,
        EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED,
    ]
    assert case.row.state is OrderState.FULFILLED


def _shipping(fleet: Fleet, order_id: str) -> AsyncIterator[HistoryEvent]:
    shipping_id = contract.shipping_id(order_id, 1)
    return fleet.client.get_workflow_handle(shipping_id).fetch_history_events()


@pytest.mark.parametrize(
    ("state", "kind"), [("charged", CARRIER_REFUSED), ("failed", ORDER_CLOSED)]
)
async def test_alone_without_a_parent_it_fails(fleet: Fleet, state: str, kind: str) -> None:
    case = fleet.order()
    fleet.world.rows[case.id] = Row(case.order, OrderState(state), HOME)
    case.script("carrier", REFUSED)
    with pytest.raises(WorkflowFailureError) as raised:
        await fleet.client.execute_workflow(
            contract.SHIPPING_WORKFLOW,
            ShippingInput(order_id=case.id),
            id=contract.shipping_id(case.id, 1),
            task_queue=contract.SHIPPING_TASK_QUEUE,
            execution_timeout=timedelta(seconds=10),
        )
    assert isinstance(raised.value.cause, ApplicationError)
    assert raised.value.cause.type == kind


@pytest.mark.parametrize("limit", ["execution_timeout", "run_timeout"])
async def test_started_by_hand_it_fails_by_itself_within_its_time(fleet: Fleet, limit: str) -> None:
    case = fleet.order()
    fleet.world.rows[case.id] = Row(case.order, OrderState.CHARGED, HOME)
    case.script("carrier", hang)
    options: dict[str, Any] = {limit: timedelta(seconds=1)}
    with pytest.raises(WorkflowFailureError) as raised:
        await fleet.client.execute_workflow(
            contract.SHIPPING_WORKFLOW,
            ShippingInput(order_id=case.id),
            id=contract.shipping_id(case.id, 1),
            task_queue=contract.SHIPPING_TASK_QUEUE,
            **options,
        )
    assert isinstance(raised.value.cause, ApplicationError)
    assert raised.value.cause.message == "dispatch: timed out"


async def test_a_run_that_the_server_starts_too_late_dispatches_nothing(fleet: Fleet) -> None:
    case = fleet.order()
    fleet.world.rows[case.id] = Row(case.order, OrderState.CHARGED, HOME)
    with pytest.raises(WorkflowFailureError) as raised:
        await fleet.client.execute_workflow(
            contract.SHIPPING_WORKFLOW,
            ShippingInput(order_id=case.id, until=datetime.now(UTC) - timedelta(seconds=1)),
            id=contract.shipping_id(case.id, 1),
            task_queue=contract.SHIPPING_TASK_QUEUE,
            execution_timeout=timedelta(seconds=10),
        )
    assert isinstance(raised.value.cause, ApplicationError)
    assert raised.value.cause.message == "dispatch: no time left"
    assert case.calls == ["prepare"]
    assert not fleet.world.packages


async def test_an_order_gives_its_shipping_the_end_of_its_forward_time(fleet: Fleet) -> None:
    case = fleet.order()
    await case.start()
    await case.end()
    first = await anext(_shipping(fleet, case.id))
    [payload] = first.workflow_execution_started_event_attributes.input.payloads
    until = datetime.fromisoformat(json.loads(payload.data)["until"])
    began = (await case.handle.describe()).start_time
    assert until - began == timedelta(seconds=12)


async def test_a_malformed_start_fails_at_once(fleet: Fleet) -> None:
    with pytest.raises(WorkflowFailureError) as raised:
        await fleet.client.execute_workflow(
            contract.SHIPPING_WORKFLOW,
            {"order_id": "a/b"},
            id="malformed",
            task_queue=contract.SHIPPING_TASK_QUEUE,
        )
    assert isinstance(raised.value.cause, ApplicationError)
    assert raised.value.cause.type == contract.INVALID_PAYLOAD
