"""Every order ends in its time, whatever hangs or is away."""

from datetime import timedelta

import pytest

from orderfleet.domain import policies
from orderfleet.domain.contract import (
    CARRIER_REFUSED,
    ORDER_TASK_QUEUE,
    ORDER_WORKFLOW,
    PAYMENT_DECLINED,
)
from orderfleet.domain.orders import OrderState
from tests.workflow.actions import during, fail, hang
from tests.workflow.fleet import Fleet

REFUSED = fail("strike", CARRIER_REFUSED, permanent=True)
AWAY = fail("Postgres is away")
LITTLE = timedelta(seconds=5)


async def test_forward_work_stops_in_time_for_an_orderly_end(fleet: Fleet) -> None:
    case = fleet.order(review=60)
    await case.start()
    end = await case.end()
    assert (end.result.state, end.result.reason) == (
        OrderState.TIMED_OUT,
        "no time left to charge",
    )
    assert 12 <= end.seconds < 14.5
    assert end.searched == "timed_out"
    assert "charge" not in case.calls
    assert case.events[-1] == "timed_out"


@pytest.mark.parametrize(("in_all", "of_a_run"), [(LITTLE, None), (None, LITTLE)])
async def test_whoever_starts_it_by_hand_may_give_it_less_time(
    fleet: Fleet, in_all: timedelta | None, of_a_run: timedelta | None
) -> None:
    case = fleet.order(review=60)
    await fleet.client.start_workflow(
        ORDER_WORKFLOW,
        case.order,
        id=case.id,
        task_queue=ORDER_TASK_QUEUE,
        execution_timeout=in_all,
        run_timeout=of_a_run,
    )
    end = await case.end()
    assert end.result.state is OrderState.TIMED_OUT
    assert 4 <= end.seconds < 5


async def test_steps_get_what_is_left(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policies, "SHIPPING_BACKOFF", timedelta(seconds=8))
    case = fleet.order()
    case.script("carrier", REFUSED, REFUSED, REFUSED)
    await case.start()
    end = await case.end()
    # The second back-off, 16 s, is cut at 12 s.
    assert end.result.state is OrderState.TIMED_OUT
    assert 12 <= end.seconds <= 15
    assert end.refund is not None
    assert end.refund.payment == "refunded"


@pytest.mark.parametrize("step", ["receive", "validate", "charge", "prepare", "dispatch"])
async def test_a_step_that_hangs_is_cut_off(fleet: Fleet, step: str) -> None:
    # An activity that hangs takes real time, so the order has little of it.
    case = fleet.order(deadline=1, review=0)
    case.script(step, hang, hang, hang)
    await case.start()
    end = await case.end()
    assert end.result.state is OrderState.TIMED_OUT
    assert end.seconds <= 1
    assert (end.refund is not None) is (step in {"prepare", "dispatch"})


async def test_an_end_that_cannot_be_written_is_left_to_be_found(fleet: Fleet) -> None:
    case = fleet.order()
    case.script("gateway", fail("no money", PAYMENT_DECLINED, permanent=True))
    case.script("end", AWAY, AWAY, AWAY)
    await case.start()
    end = await case.end()
    assert (end.result.state, end.result.reason) == (OrderState.FAILED, "charge: no money")
    assert end.searched == "unrecorded"
    assert end.status.steps["end"].attempts == 3
    assert end.seconds <= 15
    # The refund goes on trying, and writes the end first.
    assert end.refund is not None
    assert end.refund.payment == "voided"
    assert case.row.state is OrderState.FAILED


async def test_without_a_charge_there_is_no_refund_to_start(fleet: Fleet) -> None:
    case = fleet.order(items=())
    case.script("end", AWAY, AWAY, AWAY)
    await case.start()
    end = await case.end()
    assert end.result.state is OrderState.REJECTED
    assert end.searched == "unrecorded"
    assert end.refund is None


async def test_postgres_that_hangs_at_the_end_does_not_keep_the_order(fleet: Fleet) -> None:
    case = fleet.order(deadline=2, review=0)
    case.script("charge", hang)
    case.script("end", hang)
    await case.start()
    end = await case.end()
    assert end.result.state is OrderState.TIMED_OUT
    assert end.searched == "unrecorded"
    assert end.seconds <= 2
    assert end.refund is not None


async def test_a_note_that_hangs_does_not_keep_the_order(fleet: Fleet) -> None:
    # Cut off, the child cannot tell of its failure, and the parent's note of it hangs too.
    case = fleet.order(deadline=3, review=0)
    case.script("carrier", hang)
    case.script("note", hang, hang, hang)
    await case.start()
    end = await case.end()
    assert end.result.state is case.row.state is OrderState.TIMED_OUT
    assert end.seconds <= 3
    assert end.refund is not None


async def test_a_change_that_hangs_does_not_keep_the_order(fleet: Fleet) -> None:
    case = fleet.order(deadline=2, review=0)
    case.script("charge", hang)
    case.script("change_address", hang, hang, hang)
    await case.start()
    await case.until_step("charge")
    await case.send_address("elsewhere")
    end = await case.end()
    assert end.result.state is OrderState.TIMED_OUT
    assert end.searched == "timed_out"
    assert end.seconds <= 2


async def test_a_change_at_the_last_moment_does_not_keep_the_order(fleet: Fleet) -> None:
    case = fleet.order(deadline=2, review=0)
    case.script("charge", hang)
    case.script("change_address", hang, hang, hang)
    case.script("end", during(lambda: case.send_address("elsewhere")))
    await case.start()
    end = await case.end()
    assert end.result.state is OrderState.TIMED_OUT
    assert end.seconds <= 2
