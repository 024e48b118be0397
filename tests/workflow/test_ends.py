from datetime import timedelta
from functools import partial

import pytest
from temporalio.client import WorkflowFailureError, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from orderfleet.domain import policies
from orderfleet.domain.contract import (
    ORDER_CLOSED,
    ORDER_CONFLICT,
    PAYMENT_DECLINED,
    REVIEW_UPDATE,
    Review,
    Status,
    StepStatus,
)
from orderfleet.domain.orders import Item, OrderState
from orderfleet.temporal.attempts import LOST
from tests.workflow.actions import fail, hang, reply_lost
from tests.workflow.fleet import HOME, Fleet
from tests.workflow.world import Row


@pytest.fixture
def without_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep attempts silent: the test server takes a beat of one that it gave up for the next's."""
    interval = timedelta(hours=1)
    monkeypatch.setattr("orderfleet.temporal.heartbeats.HEARTBEAT_INTERVAL", interval)


async def test_an_order_is_fulfilled_step_by_step(fleet: Fleet) -> None:
    case = fleet.order()
    await case.start()
    end = await case.end()
    assert end.result.state is end.status.state is case.row.state is OrderState.FULFILLED
    assert end.searched == "fulfilled"
    assert case.events == [
        "received",
        "validated",
        "reviewed",
        "charging",
        "charged",
        "prepared",
        "dispatching",
        "fulfilled",
    ]
    assert case.row.events[2].payload == {"approved": True, "by": "timer"}
    # Received, validated and under review in one workflow task.
    history = await case.history()
    begun = history.index("EVENT_TYPE_WORKFLOW_TASK_COMPLETED") + 1
    marker, timer = "EVENT_TYPE_MARKER_RECORDED", "EVENT_TYPE_TIMER_STARTED"
    assert history[begun : begun + 3] == [marker, marker, timer]
    # The review's timer, and hardly more.
    assert 2 <= end.seconds < 5
    assert end.refund is None
    assert end.status.errors == []
    assert end.status.shipping_attempts == 1
    tried = {step: status.attempts for step, status in end.status.steps.items()}
    assert tried == {
        "receive": 1,
        "validate": 1,
        "charge": 1,
        "prepare": 1,
        "dispatch": 1,
    }


async def test_a_running_order_is_found_as_open(fleet: Fleet) -> None:
    case = fleet.order(review=60, deadline=100)
    await case.start()
    status = await case.until_step("review")
    assert status.state is OrderState.IN_REVIEW
    assert case.row.state is OrderState.IN_REVIEW
    described = await case.handle.describe()
    assert [pair.value for pair in described.typed_search_attributes] == ["open"]
    await case.send_cancel()
    await case.end()


@pytest.mark.parametrize(
    ("items", "problem"),
    [((), "no items"), ((Item(sku="FREE", price="0"),), "nothing to charge")],
)
async def test_what_cannot_be_sold_is_rejected(
    fleet: Fleet, items: tuple[Item, ...], problem: str
) -> None:
    case = fleet.order(items=items)
    await case.start()
    end = await case.end()
    assert (end.result.state, end.result.reason) == (OrderState.REJECTED, problem)
    assert case.events == ["received", "rejected"]
    assert end.searched == "rejected"
    assert end.refund is None


async def test_a_person_approves_before_the_timer(fleet: Fleet) -> None:
    case = fleet.order(review=10)
    await case.start()
    await case.until_step("review")
    review = Review(approved=True, reviewer="ann", actor="desk")
    await case.update(REVIEW_UPDATE, review)
    end = await case.end()
    assert end.result.state is OrderState.FULFILLED
    assert end.seconds < 10
    assert case.row.events[2].payload == {"approved": True, "by": "ann", "actor": "desk"}


async def test_a_person_rejects(fleet: Fleet) -> None:
    case = fleet.order(review=60, deadline=100)
    await case.start()
    await case.until_step("review")
    await case.update(REVIEW_UPDATE, Review(approved=False, reviewer="ann", reason="too much"))
    end = await case.end()
    assert (end.result.state, end.result.reason) == (OrderState.REJECTED, "too much")
    # The decision is on record though no charge wrote it.
    assert case.events == ["received", "validated", "reviewed", "rejected"]
    assert "charge" not in case.calls
    assert end.refund is None


async def test_a_payment_of_another_order_rejects(fleet: Fleet) -> None:
    case = fleet.order(payment_id="taken")
    fleet.world.payers["taken"] = "another"
    await case.start()
    end = await case.end()
    assert (end.result.state, end.result.reason) == (OrderState.REJECTED, "payment_conflict")
    assert end.refund is None
    assert case.calls.count("charge") == 1


@pytest.mark.parametrize("kind", ["payment_conflict", "review_rejected"])
async def test_a_charge_by_a_worker_of_an_older_release_rejects(fleet: Fleet, kind: str) -> None:
    case = fleet.order()
    case.script("charge", fail("payment_conflict", kind, permanent=True))
    await case.start()
    end = await case.end()
    assert (end.result.state, end.result.reason) == (OrderState.REJECTED, "payment_conflict")


async def test_a_declined_payment_fails_the_order_and_its_key_is_closed(fleet: Fleet) -> None:
    case = fleet.order()
    case.script("gateway", fail("no money", PAYMENT_DECLINED, permanent=True))
    await case.start()
    end = await case.end()
    assert (end.result.state, end.result.reason) == (OrderState.FAILED, "charge: no money")
    assert end.status.steps["charge"].attempts == 1
    assert end.refund is not None
    assert end.refund.payment == "voided"


@pytest.mark.parametrize("step", ["receive", "validate", "charge"])
async def test_a_step_that_fails_three_times_fails_the_order(fleet: Fleet, step: str) -> None:
    case = fleet.order()
    case.script(step, fail("one"), fail("two"), fail("three"))
    await case.start()
    end = await case.end()
    assert (end.result.state, end.result.reason) == (OrderState.FAILED, f"{step}: three")
    assert case.calls.count(step) == 3
    assert end.status.steps[step] == StepStatus(3, ["one", "two", "three"], "three")
    assert end.status.errors == [f"{step}: one", f"{step}: two", f"{step}: three"]
    # The gateway was never called.
    assert end.refund is None


async def test_a_local_step_is_tried_again_with_a_back_off(fleet: Fleet) -> None:
    case = fleet.order(review=0)
    case.script("validate", fail("one"), fail("two"))
    await case.start()
    end = await case.end()
    assert end.result.state is OrderState.FULFILLED
    # 0.2 s, then 0.4 s.
    assert 0.6 <= end.seconds < 1.5
    # Two pauses, and the time left to ship.
    assert (await case.history()).count("EVENT_TYPE_TIMER_STARTED") == 3


async def test_between_attempts_of_a_local_step_the_status_tells_of_those_before(
    fleet: Fleet,
) -> None:
    case = fleet.order()
    case.script("validate", fail("one"), fail("two"))
    await case.start()
    for told in (["one"], ["one", "two"]):
        status = await case.until(partial(_told_of, "validate", told))
        assert status.step == "validate"
        assert status.steps["validate"].attempts == len(told)
        assert status.errors == [f"validate: {one}" for one in told]
    assert (await case.end()).result.state is OrderState.FULFILLED


def _told_of(step: str, errors: list[str], status: Status) -> bool:
    return step in status.steps and status.steps[step].errors == errors


async def test_a_permanent_failure_of_a_local_step_is_not_tried_again(fleet: Fleet) -> None:
    case = fleet.order()
    case.script("validate", fail("order is cancelled", ORDER_CLOSED, permanent=True))
    await case.start()
    end = await case.end()
    assert (end.result.state, end.result.reason) == (
        OrderState.FAILED,
        "validate: order is cancelled",
    )
    assert case.calls.count("validate") == 1


async def test_a_charge_whose_reply_is_lost_is_undone(fleet: Fleet) -> None:
    case = fleet.order()
    case.script("gateway", reply_lost, reply_lost, reply_lost)
    await case.start()
    end = await case.end()
    assert end.result.state is OrderState.FAILED
    assert end.refund is not None
    assert end.refund.payment == "refunded"


@pytest.mark.usefixtures("without_beats")
async def test_a_charge_that_hangs_is_given_up_and_undone(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Time does not skip while an activity runs.
    monkeypatch.setattr(policies, "GATEWAY_STEP", timedelta(seconds=0.3))
    case = fleet.order()
    case.script("gateway", hang, hang, hang)
    await case.start()
    end = await case.end()
    assert (end.result.state, end.result.reason) == (OrderState.FAILED, "charge: timed out")
    # Only of the last attempt the server says how it ended.
    assert end.status.steps["charge"].errors == [LOST, LOST, "timed out"]
    assert end.refund is not None
    assert end.refund.payment == "voided"


@pytest.mark.usefixtures("without_beats")
async def test_an_attempt_whose_heartbeats_stop_is_given_up(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policies, "HEARTBEAT_TIMEOUT", timedelta(seconds=0.3))
    case = fleet.order(deadline=60)
    case.script("charge", hang)
    case.script("gateway", hang, hang)
    await case.start()
    end = await case.end()
    assert (end.result.state, end.result.reason) == (OrderState.FAILED, f"charge: {LOST}")
    assert end.status.steps["charge"].errors == [LOST] * 3
    assert end.refund is not None
    assert end.refund.payment == "voided"


@pytest.mark.usefixtures("without_beats")
async def test_errors_of_all_attempts_are_collected(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policies, "SQL_STEP", timedelta(seconds=0.3))
    case = fleet.order()
    case.script("receive", fail("boom"))
    case.script("validate", hang, fail("then this"))
    case.script("charge", reply_lost)
    case.script("prepare", fail("no box"))
    case.script("dispatch", fail("rain"), fail("snow"))
    await case.start()
    end = await case.end()
    assert end.result.state is OrderState.FULFILLED
    told = {step: status.errors for step, status in end.status.steps.items() if status.errors}
    assert told == {
        "receive": ["boom"],
        "validate": ["timed out", "then this"],
        "charge": ["reply lost"],
        "prepare": ["no box"],
        "dispatch": ["rain", "snow"],
    }
    tried = [end.status.steps[step].attempts for step in told]
    assert tried == [2, 3, 2, 2, 3]
    assert len(end.status.errors) == 7


async def test_an_order_id_of_another_order_fails_the_workflow(fleet: Fleet) -> None:
    case = fleet.order()
    other = fleet.order().order
    mine = Row(other, OrderState.RECEIVED, HOME)
    fleet.world.rows[case.id] = mine
    await case.start()
    with pytest.raises(WorkflowFailureError) as raised:
        await case.handle.result()
    found: BaseException | None = raised.value
    while found is not None and not isinstance(found, ApplicationError):
        found = found.__cause__
    assert isinstance(found, ApplicationError)
    assert found.type == ORDER_CONFLICT
    assert (mine.state, mine.events) == (OrderState.RECEIVED, [])
    assert case.calls == ["receive"]


async def test_an_end_written_by_someone_else_stands(fleet: Fleet) -> None:
    case = fleet.order(review=60, deadline=100)
    await case.start()
    await case.until_step("review")
    case.row.state = OrderState.TIMED_OUT
    with pytest.raises(WorkflowUpdateFailedError) as raised:
        await case.update(REVIEW_UPDATE, Review(approved=True))
    assert str(raised.value.cause) == "TooLate: order is timed_out"
    end = await case.end()
    assert end.result.state is OrderState.TIMED_OUT
    assert end.searched == "timed_out"
