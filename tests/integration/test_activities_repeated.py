"""An activity that runs twice, overlaps or loses an acknowledgement leaves what it leaves once."""

import asyncio
import itertools
from collections.abc import Callable
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from temporalio.exceptions import ApplicationError

from orderfleet.domain.orders import Address, OrderState
from orderfleet.gateways.simulated import Fault
from orderfleet.store.pool import Pool
from tests.integration.support.books import books
from tests.integration.support.chaos import Fate, fated
from tests.integration.support.fleet import eventually
from tests.integration.support.steps import Attempt, Steps

_AWAY: Final = Address("2 Away Street", "Elsewhere")
_TO_CHARGED: Final = ("receive", "validate", "charge")
_TO_SHIPPING: Final = (*_TO_CHARGED, "prepare")
# What leaves a package whose fate is unknown, of an order that then ends.
_TO_LOST: Final = (*_TO_SHIPPING, "dispatch lost", "time out")

_RUN: Final[dict[str, Callable[[Steps], Attempt]]] = {
    "receive": Steps.receive,
    "validate": Steps.validate,
    "charge": Steps.charge,
    "prepare": Steps.prepare,
    "dispatch": Steps.dispatch,
    "fail": Steps.end,
    "time out": lambda steps: steps.end(OrderState.TIMED_OUT),
    "cancel": Steps.cancel,
    "change_address": lambda steps: steps.change_address("a", _AWAY),
    "note": Steps.note,
    "recall": Steps.recall,
    "refund": Steps.refund,
}
_BEFORE: Final[dict[str, tuple[str, ...]]] = {
    "receive": (),
    "validate": _TO_CHARGED[:1],
    "charge": _TO_CHARGED[:2],
    "prepare": _TO_CHARGED,
    "dispatch": _TO_SHIPPING,
    "fail": _TO_SHIPPING,
    "time out": (*_TO_SHIPPING, "dispatch lost"),
    "cancel": _TO_CHARGED,
    "change_address": _TO_CHARGED,
    "note": _TO_CHARGED,
    "recall": _TO_LOST,
    "refund": (*_TO_CHARGED, "fail"),
}
_numbers = itertools.count()


async def _reach(steps: Steps, pool: Pool, names: tuple[str, ...]) -> None:
    for name in names:
        if name == "dispatch lost":
            lossy = Steps(pool, steps.order_id, (Fault("dispatch", "reply_lost"),))
            with pytest.raises(Exception, match="reply lost"):
                await lossy.dispatch()(pool, 1)
        else:
            await _RUN[name](steps)(pool, 1)


def _permanent(outcome: object) -> bool:
    return isinstance(outcome, ApplicationError) and outcome.non_retryable


_FATES: Final = st.lists(st.sampled_from(Fate), max_size=4)
_FAULTS: Final = st.lists(
    st.builds(
        Fault,
        at=st.sampled_from(["charge", "dispatch", "refund", "recall"]),
        kind=st.sampled_from(["fail_before", "reply_lost", "hang_before", "hang_after"]),
        times=st.integers(1, 2),
        seconds=st.sampled_from([0.002, 0.02]),
    ),
    max_size=2,
)


@pytest.mark.parametrize("name", list(_RUN))
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fates=st.lists(_FATES, min_size=1, max_size=3), overlap=st.booleans(), faults=_FAULTS)
async def test_attempts_in_any_number_leave_what_one_leaves(
    pool: Pool, name: str, fates: list[list[Fate]], overlap: bool, faults: list[Fault]
) -> None:
    number = next(_numbers)
    once = Steps(pool, f"{number:05}-a")
    await _reach(once, pool, (*_BEFORE[name], name))

    often = Steps(pool, f"{number:05}-b", tuple(faults))
    await _reach(Steps(pool, often.order_id), pool, _BEFORE[name])
    attempt = _RUN[name](often)
    # Numbered from 2: an earlier attempt of the same dispatch may be what is under test.
    attempts = [attempt(fated(pool, fate), n) for n, fate in enumerate(fates, 2)]
    if overlap:
        outcomes = await asyncio.gather(*attempts, return_exceptions=True)
    else:
        outcomes = [(await asyncio.gather(one, return_exceptions=True))[0] for one in attempts]
    # Only the latest attempt counts for Temporal: a permanent error of it would end the order.
    assert not _permanent(outcomes[-1]), outcomes
    first = len(fates) + 2
    for n in range(first, first + 5):
        outcome = (await asyncio.gather(attempt(pool, n), return_exceptions=True))[0]
        assert not _permanent(outcome)
        if not isinstance(outcome, Exception):
            break
    else:
        pytest.fail("it never comes out")
    found = str((await books(pool, often.order_id)).essence)
    assert found.replace("-b", "-a") == str((await books(pool, once.order_id)).essence)


@pytest.mark.parametrize("name", [name for name in _RUN if name != "receive"])
async def test_attempts_that_wait_for_the_same_row_both_come_out(
    pool: Pool, owner: Pool, name: str
) -> None:
    """The second one's snapshot is older than what the first one wrote."""
    steps = Steps(pool, "one")
    await _reach(steps, pool, _BEFORE[name])

    async def both_wait() -> bool:
        waiting = await owner.fetchval(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return bool(waiting == 2)

    async with owner.acquire() as connection, connection.transaction():
        await connection.execute("SELECT FROM orders WHERE id = 'one' FOR UPDATE")
        attempt = _RUN[name](steps)
        both = asyncio.gather(attempt(pool, 2), attempt(pool, 3), return_exceptions=True)
        await eventually(both_wait)
    outcomes = await both
    assert not [outcome for outcome in outcomes if isinstance(outcome, Exception)]
