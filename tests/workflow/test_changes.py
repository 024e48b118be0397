"""Changes are applied once and in order; what is malformed or too late does no harm."""

import asyncio
import contextlib
from typing import Any

import pytest
from temporalio.client import WorkflowFailureError, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from orderfleet.domain import contract, policies
from orderfleet.domain.contract import (
    ADDRESS_SIGNAL,
    ADDRESS_UPDATE,
    CANCEL_SIGNAL,
    CANCEL_UPDATE,
    DISPATCH_FAILED_SIGNAL,
    INVALID_PAYLOAD,
    OTHER_CHANGE,
    REVIEW_UPDATE,
    TOO_LATE,
    TOO_MANY_CHANGES,
    AddressChange,
    Cancel,
    ChangeResult,
    Review,
)
from orderfleet.domain.events import Event, EventType
from orderfleet.domain.orders import Address, OrderState
from tests.workflow.actions import after, during, fail, hang, reply_lost
from tests.workflow.case import Case, closed
from tests.workflow.fleet import Fleet


def address(street: str) -> Address:
    return Address(street=street, city="Springfield")


async def in_review(fleet: Fleet) -> Case:
    case = fleet.order(review=60, deadline=100)
    await case.start()
    await case.until_step("review")
    return case


async def go_on(case: Case) -> None:
    await case.update(REVIEW_UPDATE, Review(approved=True))


async def refusal(case: Case, name: str, change: object) -> ApplicationError:
    with pytest.raises(WorkflowUpdateFailedError) as raised:
        await case.update(name, change)
    assert isinstance(raised.value.cause, ApplicationError)
    return raised.value.cause


async def test_an_id_is_applied_once_by_whatever_way_it_comes(fleet: Fleet) -> None:
    case = await in_review(fleet)
    await case.send_address("first", change_id="a-1")
    again = AddressChange(address("first"), change_id="a-1")
    answers = [await case.update(ADDRESS_UPDATE, again) for _ in range(2)]
    assert answers == [ChangeResult("a-1", OrderState.IN_REVIEW)] * 2
    await go_on(case)
    await case.end()
    assert case.calls.count("change_address") == 1
    assert fleet.world.shipped(case.id) == ["first"]


async def test_an_id_names_one_change_of_its_kind_and_actor(fleet: Fleet) -> None:
    case = await in_review(fleet)
    first = AddressChange(address("first"), change_id="a-1", actor="ann")
    await case.update(ADDRESS_UPDATE, first)
    other = AddressChange(address("second"), change_id="a-1", actor="ann")
    assert (await refusal(case, ADDRESS_UPDATE, other)).type == OTHER_CHANGE
    # By signal there is nobody to tell.
    await case.handle.signal(ADDRESS_SIGNAL, other)
    assert (await case.update(ADDRESS_UPDATE, first)).change_id == "a-1"
    # Somebody else's key is another one.
    third = AddressChange(address("third"), change_id="a-1", actor="bob")
    await case.update(ADDRESS_UPDATE, third)
    assert case.events.count("address_updated") == 2
    await go_on(case)
    await case.end()
    assert fleet.world.shipped(case.id) == ["third"]


async def test_a_cancel_id_is_applied_once(fleet: Fleet) -> None:
    case = await in_review(fleet)
    for _ in range(2):
        await case.send_cancel("c-1", "first")
    with contextlib.suppress(WorkflowUpdateFailedError):
        # It may come when the workflow has already closed.
        await case.update(CANCEL_UPDATE, Cancel(change_id="c-1", reason="second"))
    end = await case.end()
    assert case.calls.count("cancel") == 1
    assert case.events.count("cancelled") == 1
    assert end.result.reason == "first"


async def test_so_many_changes_and_then_a_cancel(fleet: Fleet) -> None:
    case = await in_review(fleet)
    for number in range(policies.MOST_CHANGES):
        await case.send_address(f"{number} Street")
    await case.waits_for(lambda: case.events.count("address_updated") == policies.MOST_CHANGES)
    moved = AddressChange(address("one more"), change_id="more")
    refused = await refusal(case, ADDRESS_UPDATE, moved)
    assert refused.type == TOO_MANY_CHANGES
    assert (await refusal(case, REVIEW_UPDATE, Review(approved=True))).type == TOO_MANY_CHANGES
    for number in range(300):
        await case.send_address(f"{number} Street")
        await case.handle.signal(CANCEL_SIGNAL, [number])
    status = await case.status()
    assert len(status.errors) <= policies.MOST_ERRORS
    answer = await case.update(CANCEL_UPDATE, Cancel(change_id="c-1"))
    assert answer.state is OrderState.CANCELLED
    assert (await case.end()).result.state is OrderState.CANCELLED
    assert case.calls.count("change_address") == policies.MOST_CHANGES
    assert case.calls.count("note") == 0


async def test_two_changes_come_out_in_the_order_they_came(fleet: Fleet) -> None:
    case = await in_review(fleet)
    # The first is slow: without the lock the second would overtake it.
    case.script("change_address", during(lambda: asyncio.sleep(0.2)))
    await case.send_address("first")
    await case.send_address("second")
    await case.waits_for(lambda: case.events.count("address_updated") == 2)
    await go_on(case)
    end = await case.end()
    assert fleet.world.shipped(case.id) == ["second"]
    assert end.status.address == case.row.address == address("second")


async def test_a_change_that_could_not_be_written_may_be_repeated(fleet: Fleet) -> None:
    case = await in_review(fleet)
    case.script("change_address", fail("Postgres is away", permanent=True))
    change = AddressChange(address("there"), change_id="a-1")
    with pytest.raises(WorkflowUpdateFailedError):
        await case.update(ADDRESS_UPDATE, change)
    assert await case.update(ADDRESS_UPDATE, change) == ChangeResult("a-1", OrderState.IN_REVIEW)
    await go_on(case)
    await case.end()
    assert fleet.world.shipped(case.id) == ["there"]


async def test_a_signal_without_input_cancels(fleet: Fleet) -> None:
    case = await in_review(fleet)
    await case.handle.signal(CANCEL_SIGNAL)
    end = await case.end()
    assert (end.result.state, end.result.reason) == (OrderState.CANCELLED, "cancelled")


@pytest.mark.parametrize(
    ("signal", "given", "event"),
    [
        (CANCEL_SIGNAL, {"reason": 7}, "cancel_refused"),
        (CANCEL_SIGNAL, {"change_id": "two words"}, "cancel_refused"),
        (CANCEL_SIGNAL, ["list"], "cancel_refused"),
        (ADDRESS_SIGNAL, {"address": {"street": ""}}, "address_update_refused"),
        (ADDRESS_SIGNAL, "here", "address_update_refused"),
    ],
)
async def test_a_malformed_signal_is_recorded_and_changes_nothing(
    fleet: Fleet, signal: str, given: object, event: str
) -> None:
    case = fleet.order()
    await case.start()
    await case.handle.signal(signal, given)
    end = await case.end()
    assert end.result.state is OrderState.FULFILLED
    assert case.events.count(event) == 1
    assert next(one for one in case.row.events if one.type == event).payload["reason"]


async def test_a_signal_without_an_address_is_recorded(fleet: Fleet) -> None:
    case = fleet.order()
    await case.start()
    await case.handle.signal(ADDRESS_SIGNAL)
    assert (await case.end()).result.state is OrderState.FULFILLED
    assert "address_update_refused" in case.events


async def test_a_malformed_report_of_a_child_does_no_harm(fleet: Fleet) -> None:
    case = fleet.order()
    await case.start()
    await case.handle.signal(DISPATCH_FAILED_SIGNAL, {"attempt": "one"})
    end = await case.end()
    assert end.result.state is OrderState.FULFILLED
    assert end.status.errors == []


async def refused_start(fleet: Fleet, *given: Any) -> ApplicationError:
    handle = await fleet.client.start_workflow(
        contract.ORDER_WORKFLOW, args=given, id="malformed", task_queue=contract.ORDER_TASK_QUEUE
    )
    # Time does not skip: a workflow task that is retried for ever would hang here.
    await closed(handle, patience=5)
    with pytest.raises(WorkflowFailureError) as raised:
        await handle.result()
    assert isinstance(raised.value.cause, ApplicationError)
    assert fleet.world.calls["malformed"] == []
    return raised.value.cause


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"payment_id": "p\n", "address": {"street": "s", "city": "c"}},
        {"payment_id": "p", "address": {"street": "s", "city": "c"}, "deadline_seconds": 0},
        "order",
    ],
)
async def test_a_malformed_start_fails_at_once(fleet: Fleet, given: object) -> None:
    assert (await refused_start(fleet, given)).type == INVALID_PAYLOAD


@pytest.mark.parametrize("given", [(), (None,)])
async def test_a_start_without_input_fails_at_once(fleet: Fleet, given: tuple[Any, ...]) -> None:
    assert (await refused_start(fleet, *given)).type == INVALID_PAYLOAD


@pytest.mark.parametrize(
    ("name", "given"),
    [
        (CANCEL_UPDATE, {"reason": "a\x00b"}),
        (ADDRESS_UPDATE, {"address": {"street": "s"}}),
        (REVIEW_UPDATE, {"approved": "yes"}),
    ],
)
async def test_a_malformed_update_fails_at_once(fleet: Fleet, name: str, given: object) -> None:
    case = await in_review(fleet)
    assert (await refusal(case, name, given)).type == INVALID_PAYLOAD
    assert not [event for event in await case.history() if "UPDATE_ACCEPTED" in event]
    await go_on(case)
    assert (await case.end()).result.state is OrderState.FULFILLED


async def test_what_comes_too_late_is_refused_and_leaves_no_history(fleet: Fleet) -> None:
    # A change of address that hangs keeps the fulfilled order's workflow open.
    case = fleet.order(review=0.2)
    case.script("change_address", hang, hang, hang)
    case.script("validate", during(lambda: case.send_address("late")))
    await case.start()
    await case.until(lambda status: status.state is OrderState.FULFILLED)
    refused = await refusal(case, CANCEL_UPDATE, Cancel(change_id="late"))
    assert (refused.type, refused.message) == (TOO_LATE, "order is fulfilled")
    moved = AddressChange(address("too late"), change_id="later")
    assert (await refusal(case, ADDRESS_UPDATE, moved)).type == TOO_LATE
    assert (await refusal(case, REVIEW_UPDATE, Review(approved=False))).type == TOO_LATE
    assert not [event for event in await case.history() if "UPDATE" in event]
    assert case.calls.count("cancel") == 0
    await case.handle.terminate()


async def test_a_review_is_decided_once(fleet: Fleet) -> None:
    case = await in_review(fleet)
    decision = Review(approved=True, reviewer="ann", change_id="r-1")
    refused: list[ApplicationError] = []

    async def again() -> None:
        answer = await case.update(REVIEW_UPDATE, decision)
        assert answer.change_id == "r-1"
        others = (Review(approved=False, change_id="r-2"), Review(approved=False))
        refused.extend([await refusal(case, REVIEW_UPDATE, other) for other in others])

    case.script("charge", during(again))
    await case.update(REVIEW_UPDATE, decision)
    end = await case.end()
    assert end.result.state is OrderState.FULFILLED
    assert {error.type for error in refused} == {TOO_LATE}
    review = {"approved": True, "by": "ann", "change_id": "r-1"}
    assert case.row.event("reviewed").payload == review
    assert end.status.steps["charge"].attempts == 1


async def test_a_review_is_on_record_before_it_is_answered(fleet: Fleet) -> None:
    case = await in_review(fleet)
    recorded: list[bool] = []

    async def look() -> None:
        recorded.append(case.row.has("reviewed"))

    case.script("review", after(look))
    await case.update(REVIEW_UPDATE, Review(approved=False, reason="no"))
    assert recorded == [True]
    end = await case.end()
    assert (end.result.state, end.result.reason) == (OrderState.REJECTED, "no")
    assert case.events.count("reviewed") == 1


async def test_a_review_that_a_cancel_has_overtaken_is_refused_with_the_reason(
    fleet: Fleet,
) -> None:
    case = await in_review(fleet)

    async def cancelled() -> None:
        fleet.world.move(
            case.id, Event(EventType.CANCELLED, "cancelled/c"), to=OrderState.CANCELLED
        )

    case.script("review", during(cancelled))
    refused = await refusal(case, REVIEW_UPDATE, Review(approved=True, change_id="r-1"))
    assert (refused.type, refused.message) == (TOO_LATE, "order is cancelled")
    assert "review_refused" in case.events
    assert "reviewed" not in case.events
    await case.handle.terminate()


async def test_the_timer_waits_for_a_review_that_is_on_its_way_to_the_record(
    fleet: Fleet,
) -> None:
    case = fleet.order(review=0.5)
    case.script("review", during(lambda: asyncio.sleep(1)))
    await case.start()
    await case.until_step("review")
    await case.update(REVIEW_UPDATE, Review(approved=False, reviewer="ann"))
    end = await case.end()
    assert end.result.state is OrderState.REJECTED
    assert "charge" not in case.calls


async def test_a_rejection_whose_reply_was_lost_is_not_charged(fleet: Fleet) -> None:
    case = fleet.order(review=0.5)
    case.script("review", *[reply_lost] * 3)
    # All three find it on record and lose their replies: the workflow does not know, the row does.
    await case.start()
    await case.until_step("review")
    with pytest.raises(WorkflowUpdateFailedError):
        await case.update(REVIEW_UPDATE, Review(approved=False, reason="no", change_id="r-1"))
    end = await case.end()
    assert (end.result.state, end.result.reason) == (OrderState.REJECTED, "no")
    assert case.world.ledger == {}


async def test_a_review_may_come_before_the_order_is_in_review(fleet: Fleet) -> None:
    case = fleet.order(review=10)
    case.script("validate", during(lambda: go_on(case)))
    await case.start()
    end = await case.end()
    assert end.result.state is OrderState.FULFILLED
    assert end.seconds < 10
