from itertools import repeat

import pytest
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ApplicationError

from orderfleet.domain import contract
from orderfleet.domain.contract import RefundInput, RefundResult
from orderfleet.domain.orders import OrderState
from orderfleet.domain.payments import PaymentStatus
from orderfleet.gateways.protocols import ChargeStatus
from orderfleet_order_worker.reconciliation.activities import Traces
from tests.workflow.actions import fail, reply_lost
from tests.workflow.case import Case
from tests.workflow.fleet import HOME, Fleet
from tests.workflow.world import Row


async def refunded(fleet: Fleet, case: Case) -> RefundResult:
    result: RefundResult = await fleet.client.execute_workflow(
        contract.REFUND_WORKFLOW,
        RefundInput(
            order_id=case.id,
            payment_id=case.order.payment_id,
            state=OrderState.TIMED_OUT,
            reason="reconciled",
        ),
        id=contract.refund_id(case.id),
        task_queue=contract.ORDER_TASK_QUEUE,
        result_type=RefundResult,
    )
    return result


def paid(fleet: Fleet, state: OrderState, *, dispatched: bool = False) -> Case:
    case = fleet.order()
    row = fleet.world.rows[case.id] = Row(case.order, state, HOME)
    row.payment = PaymentStatus.CAPTURED
    fleet.world.payers[case.order.payment_id] = case.id
    fleet.world.ledger[case.order.payment_id] = ChargeStatus.CAPTURED
    if dispatched:
        row.dispatch_key = f"{case.id}/1"
        fleet.world.packages[row.dispatch_key] = HOME.street
    return case


async def test_a_fulfilled_order_keeps_its_money(fleet: Fleet) -> None:
    case = paid(fleet, OrderState.FULFILLED, dispatched=True)
    result = await refunded(fleet, case)
    assert result.payment.startswith("kept")
    assert case.calls == ["end"]
    case.check_money(case.row)


async def test_the_end_is_secured_and_the_package_recalled_before_money_goes_back(
    fleet: Fleet,
) -> None:
    case = paid(fleet, OrderState.DISPATCHING, dispatched=True)
    result = await refunded(fleet, case)
    assert result == RefundResult("refunded", recalled=True)
    assert case.calls == ["end", "trace", "recall", "refund"]
    assert case.row.state is OrderState.TIMED_OUT
    case.check_money(case.row)


async def test_nothing_dispatched_is_nothing_to_recall(fleet: Fleet) -> None:
    case = paid(fleet, OrderState.SHIPPING)
    assert await refunded(fleet, case) == RefundResult("refunded", recalled=False)
    assert case.calls == ["end", "trace", "refund"]


async def test_what_the_row_has_lost_is_recalled_too(fleet: Fleet) -> None:
    case = paid(fleet, OrderState.SHIPPING)
    keys = [f"{case.id}/1", f"{case.id}/2"]
    fleet.world.packages[keys[1]] = HOME.street
    fleet.world.traces[case.id] = Traces(charged=True, keys=keys)
    assert await refunded(fleet, case) == RefundResult("refunded", recalled=True)
    assert case.calls == ["end", "trace", "recall", "refund"]
    case.check_money(case.row)


@pytest.mark.parametrize(
    "given",
    [
        *({"state": state} for state in OrderState if not state.ended or state == "fulfilled"),
        {"state": "undone"},
        {"order_id": "order:bad 1"},
        {"payment_id": ""},
        {"reason": "NUL \0"},
        {"shipping_task_queue": ""},
    ],
    ids=str,
)
async def test_it_refuses_at_once_what_cannot_be_undone(
    fleet: Fleet, given: dict[str, str]
) -> None:
    case = paid(fleet, OrderState.CHARGED)
    refund = {"order_id": case.id, "payment_id": case.order.payment_id, "state": "failed"}
    with pytest.raises(WorkflowFailureError) as raised:
        await fleet.client.execute_workflow(
            contract.REFUND_WORKFLOW,
            refund | given,
            id=contract.refund_id(case.id),
            task_queue=contract.ORDER_TASK_QUEUE,
        )
    cause = raised.value.cause
    assert isinstance(cause, ApplicationError)
    assert cause.type == contract.INVALID_PAYLOAD
    assert next(iter(given)) in cause.message or "state" in given
    assert not case.calls


async def test_it_goes_on_until_it_is_done(fleet: Fleet) -> None:
    case = paid(fleet, OrderState.DISPATCHING, dispatched=True)
    for step in ("end", "recall"):
        case.script(step, *repeat(fail("away"), 8))
    case.script("refund", *repeat(fail("away"), 8), reply_lost)
    assert await refunded(fleet, case) == RefundResult("refunded", recalled=True)
    assert case.calls.count("end") == case.calls.count("recall") == 9
    assert case.calls.count("refund") == 10
    case.check_money(case.row)


async def test_nothing_paid_is_nothing_to_refund(fleet: Fleet) -> None:
    case = fleet.order()
    fleet.world.rows[case.id] = Row(case.order, OrderState.IN_REVIEW, HOME)
    assert await refunded(fleet, case) == RefundResult("none")
    assert case.row.state is OrderState.TIMED_OUT


async def test_an_end_that_stands_is_not_written_over(fleet: Fleet) -> None:
    case = paid(fleet, OrderState.CANCELLED)
    assert (await refunded(fleet, case)).payment == "refunded"
    assert case.row.state is OrderState.CANCELLED
