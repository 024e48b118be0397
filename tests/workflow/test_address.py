"""A change of address at each place where the workflow waits: the package goes where it says."""

from collections.abc import Awaitable, Callable

import pytest
from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from orderfleet.domain.contract import (
    ADDRESS_UPDATE,
    CARRIER_REFUSED,
    TOO_LATE,
    AddressChange,
    ChangeResult,
)
from orderfleet.domain.orders import Address, OrderState
from tests.workflow.actions import during, fail
from tests.workflow.case import Case
from tests.workflow.fleet import HOME, Fleet

AWAY = Address(street="2 Other Street", city="Springfield")


def moved_during(case: Case) -> Callable[[], Awaitable[None]]:
    async def happens() -> None:
        await case.send_address(AWAY.street)
        await case.waits_for(lambda: case.row.address == AWAY)

    return happens


@pytest.mark.parametrize("step", ["validate", "charge", "gateway", "prepare", "dispatch"])
async def test_during_an_activity(fleet: Fleet, step: str) -> None:
    case = fleet.order()
    case.script(step, during(moved_during(case)))
    await case.start()
    end = await case.end()
    assert end.result.state is OrderState.FULFILLED
    assert end.status.address == case.row.address == AWAY
    assert fleet.world.shipped(case.id) == [AWAY.street]
    assert case.events.count("address_updated") == 1


async def test_while_it_is_received(fleet: Fleet) -> None:
    case = fleet.order()
    case.script("receive", during(lambda: case.send_address(AWAY.street)))
    await case.start()
    await case.end()
    assert fleet.world.shipped(case.id) == [AWAY.street]


async def test_in_review_by_update(fleet: Fleet) -> None:
    case = fleet.order(review=10)
    await case.start()
    await case.until_step("review")
    answer = await case.update(ADDRESS_UPDATE, AddressChange(AWAY, change_id="a-1"))
    assert answer == ChangeResult("a-1", OrderState.IN_REVIEW)
    assert (await case.status()).address == AWAY
    await case.end()
    assert fleet.world.shipped(case.id) == [AWAY.street]


async def test_between_shipping_attempts(fleet: Fleet) -> None:
    case = fleet.order()
    case.script("carrier", fail("strike", CARRIER_REFUSED, permanent=True))
    case.script("note", during(moved_during(case)))
    await case.start()
    end = await case.end()
    assert end.result.state is OrderState.FULFILLED
    assert end.status.shipping_attempts == 2
    assert fleet.world.shipped(case.id) == [AWAY.street]


async def test_after_the_claim_it_is_refused(fleet: Fleet) -> None:
    case = fleet.order()
    failures: list[BaseException | None] = []

    async def happens() -> None:
        try:
            await case.update(ADDRESS_UPDATE, AddressChange(AWAY, change_id="late"))
        except WorkflowUpdateFailedError as error:
            failures.append(error.cause)

    case.script("carrier", during(happens))
    await case.start()
    end = await case.end()
    [failure] = failures
    assert isinstance(failure, ApplicationError)
    assert (failure.type, failure.message) == (TOO_LATE, "already dispatched")
    assert "address_update_refused" in case.events
    assert end.status.address == case.row.address == HOME
    assert fleet.world.shipped(case.id) == [HOME.street]


async def test_a_signal_after_the_claim_shows_in_the_errors(fleet: Fleet) -> None:
    case = fleet.order()

    async def happens() -> None:
        await case.send_address(AWAY.street)
        await case.waits_for(lambda: "address_update_refused" in case.events)

    case.script("carrier", during(happens))
    await case.start()
    end = await case.end()
    assert end.result.state is OrderState.FULFILLED
    assert fleet.world.shipped(case.id) == [HOME.street]
    assert end.status.errors == ["change: TooLate: already dispatched"]
