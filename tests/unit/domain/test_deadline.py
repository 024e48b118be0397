from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from orderfleet.domain.deadline import Budget
from orderfleet.domain.policies import SHORTEST_STEP

START = datetime(2026, 1, 1, tzinfo=UTC)
BUDGET = Budget(START, timedelta(seconds=15))


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def test_forward_work_leaves_three_seconds_for_the_end() -> None:
    assert BUDGET.forward_left(START) == timedelta(seconds=12)
    assert BUDGET.forward_left(at(11)) == timedelta(seconds=1)
    assert BUDGET.left(at(12)) == timedelta(seconds=3)
    assert BUDGET.closing_left(at(12)) == timedelta(seconds=2.5)


def test_nothing_is_ever_less_than_nothing() -> None:
    for late in (15, 16, 1000):
        assert BUDGET.left(at(late)) == BUDGET.forward_left(at(late)) == timedelta(0)
        # A timeout of nothing is refused by Temporal.
        assert BUDGET.closing_left(at(late)) == SHORTEST_STEP


def test_an_event_that_changes_nothing_leaves_time_for_the_end() -> None:
    assert BUDGET.note_left(at(3)) == timedelta(seconds=6)
    assert BUDGET.note_left(at(14)) == BUDGET.note_left(at(20)) == timedelta(seconds=1)


@given(st.floats(min_value=1, max_value=3600), st.floats(min_value=0, max_value=1))
def test_closing_never_takes_the_last_moment(total: float, share: float) -> None:
    budget = Budget(START, timedelta(seconds=total))
    now = START + budget.total * share
    closing = budget.closing_left(now)
    assert closing < budget.left(now) or closing == SHORTEST_STEP
    assert closing >= budget.left(now) / 2
