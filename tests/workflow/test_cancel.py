"""A cancel in each of the three ways, at each place where the workflow waits."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from temporalio.client import WorkflowUpdateFailedError, WorkflowUpdateStage
from temporalio.exceptions import ApplicationError

from orderfleet.domain.contract import (
    CANCEL_SIGNAL,
    CANCEL_UPDATE,
    CARRIER_REFUSED,
    TOO_LATE,
    Cancel,
    ChangeResult,
)
from orderfleet.domain.orders import OrderState
from tests.workflow.actions import during, fail
from tests.workflow.case import Case
from tests.workflow.fleet import Fleet

Way = Callable[[Case], Awaitable[None]]
REFUSED = fail("strike", CARRIER_REFUSED, permanent=True)


async def by_signal(case: Case) -> None:
    await case.send_cancel()


async def by_update(case: Case) -> None:
    # Accepted, not completed: during `receive` there is no row to cancel yet.
    await case.handle.start_update(
        CANCEL_UPDATE, Cancel(change_id="c"), wait_for_stage=WorkflowUpdateStage.ACCEPTED
    )


async def by_temporal(case: Case) -> None:
    await case.handle.cancel()


WAYS = pytest.mark.parametrize("way", [by_signal, by_update, by_temporal])


def cancelled_during(case: Case, way: Way) -> Callable[[], Awaitable[None]]:
    """Cancel, and let the activity go on only when the order is about to end."""

    async def happens() -> None:
        await way(case)
        await ending(case)

    return happens


async def ending(case: Case) -> None:
    # The test server, unlike the real one, refuses a workflow task that cancels an activity which
    # has completed meanwhile, so the activity waits for the step after it.
    await case.waits_for(lambda: "end" in case.calls)
    assert case.row.state is OrderState.CANCELLED
    if "prepare" in case.calls:
        await case.child_closed(1)


@WAYS
@pytest.mark.parametrize("step", ["receive", "validate"])
async def test_during_a_local_step(fleet: Fleet, way: Way, step: str) -> None:
    case = fleet.order(review=60, deadline=100)
    sent: list[asyncio.Future[None]] = []

    async def send() -> None:
        # Nobody hears it before the workflow task is over, nor is an update accepted.
        sent.append(asyncio.ensure_future(way(case)))
        await asyncio.sleep(0.1)

    case.script(step, during(send))
    await case.start()
    end = await case.end()
    await asyncio.gather(*sent)
    assert end.result.state is case.row.state is OrderState.CANCELLED
    assert case.events == ["received", "validated", "cancelled"]
    assert end.status.errors == []
    assert end.seconds < 60
    assert end.refund is None


@WAYS
async def test_while_a_local_step_hangs(fleet: Fleet, way: Way) -> None:
    case = fleet.order()
    sent: list[asyncio.Future[None]] = []

    async def send() -> None:
        sent.append(asyncio.ensure_future(way(case)))
        await asyncio.Event().wait()

    case.script("validate", during(send))
    await case.start()
    end = await case.end()
    await asyncio.gather(*sent)
    assert end.result.state is case.row.state is OrderState.CANCELLED
    # It is heard when the workflow task beats, and done when the attempt is given up at 3 s.
    assert end.status.errors == ["validate: timed out"]
    assert end.seconds < 6
    assert "charge" not in case.calls


@WAYS
async def test_in_review(fleet: Fleet, way: Way) -> None:
    case = fleet.order(review=60, deadline=100)
    await case.start()
    await case.until_step("review")
    await way(case)
    end = await case.end()
    assert end.result.state is case.row.state is OrderState.CANCELLED
    assert case.events == ["received", "validated", "cancelled"]
    assert end.seconds < 60
    assert end.searched == "cancelled"
    assert end.refund is None


@WAYS
async def test_before_money_is_asked_for(fleet: Fleet, way: Way) -> None:
    case = fleet.order()
    case.script("charge", during(cancelled_during(case, way)))
    await case.start()
    end = await case.end()
    assert end.result.state is case.row.state is OrderState.CANCELLED
    assert end.refund is None
    assert "gateway" not in case.calls
    # A step that was called off has not failed.
    assert end.status.errors == []


@WAYS
async def test_while_the_gateway_charges(fleet: Fleet, way: Way) -> None:
    case = fleet.order()
    case.script("gateway", during(cancelled_during(case, way)))
    await case.start()
    end = await case.end()
    assert end.result.state is case.row.state is OrderState.CANCELLED
    assert end.refund is not None
    assert end.refund.payment in {"voided", "refunded"}
    assert "dispatch" not in case.calls
    assert end.status.errors == []


@WAYS
@pytest.mark.parametrize("step", ["prepare", "dispatch"])
async def test_before_the_dispatch_is_claimed(fleet: Fleet, way: Way, step: str) -> None:
    case = fleet.order()
    case.script(step, during(cancelled_during(case, way)))
    await case.start()
    end = await case.end()
    assert end.result.state is case.row.state is OrderState.CANCELLED
    assert end.refund is not None
    assert end.refund.payment == "refunded"
    assert "carrier" not in case.calls
    # The child was called off, it did not fail.
    assert "note" not in case.calls
    assert end.status.errors == []


@WAYS
async def test_between_shipping_attempts(fleet: Fleet, way: Way) -> None:
    case = fleet.order()
    case.script("carrier", REFUSED)
    # The failure is noted while the back-off's timer runs.
    case.script("note", during(cancelled_during(case, way)))
    await case.start()
    end = await case.end()
    assert end.result.state is case.row.state is OrderState.CANCELLED
    assert end.status.shipping_attempts == 1
    assert case.calls.count("dispatch") == 1
    assert end.refund is not None
    assert end.refund.payment == "refunded"


@WAYS
async def test_after_the_claim_it_is_refused(fleet: Fleet, way: Way) -> None:
    case = fleet.order()

    async def happens() -> None:
        await way(case)
        await case.waits_for(lambda: "cancel_refused" in case.events)

    case.script("carrier", during(happens))
    await case.start()
    end = await case.end()
    assert end.result.state is case.row.state is OrderState.FULFILLED
    assert case.events[-2:] == ["cancel_refused", "fulfilled"]
    assert end.refund is None


async def test_an_update_that_comes_after_the_claim_fails_with_the_reason(fleet: Fleet) -> None:
    case = fleet.order()
    failures: list[BaseException | None] = []

    async def happens() -> None:
        try:
            await case.update(CANCEL_UPDATE, Cancel(change_id="late"))
        except WorkflowUpdateFailedError as error:
            failures.append(error.cause)

    case.script("carrier", during(happens))
    await case.start()
    assert (await case.end()).result.state is OrderState.FULFILLED
    [failure] = failures
    assert isinstance(failure, ApplicationError)
    assert (failure.type, failure.message) == (TOO_LATE, "already dispatched")


async def test_an_update_is_acknowledged_with_the_state(fleet: Fleet) -> None:
    case = fleet.order(review=60, deadline=100)
    await case.start()
    await case.until_step("review")
    answer = await case.update(CANCEL_UPDATE, Cancel(change_id="c-1", reason="changed my mind"))
    assert answer == ChangeResult("c-1", OrderState.CANCELLED)
    assert (await case.end()).result.reason == "changed my mind"


async def test_a_signal_that_is_there_before_the_first_task(fleet: Fleet) -> None:
    case = fleet.order()
    case.script("validate", during(lambda: ending(case)))
    await case.start(signal=CANCEL_SIGNAL)
    end = await case.end()
    assert end.result.state is case.row.state is OrderState.CANCELLED
    assert "charge" not in case.calls


async def test_a_failed_first_step_ends_the_order_with_a_cancel_waiting(fleet: Fleet) -> None:
    case = fleet.order()
    case.script("receive", fail(), fail(), fail())
    await case.start(signal=CANCEL_SIGNAL)
    end = await case.end()
    assert end.result.state is OrderState.FAILED
    assert end.row is None
    assert end.seconds <= 15
