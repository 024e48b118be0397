"""The orders that wait: which of them do, how long, and when they have left."""

from collections.abc import Iterable, Sequence

import pytest

from orderfleet.domain.events import EventType
from orderfleet.store.progress import Passed, Progress
from orderfleet_api.admission.waiting import WaitingOrders

_REVIEW, _FORWARD = 2.0, 12.0
# Postgres' clock is not the API's.
_EPOCH = 1_700_000_000.0


def _progress(
    *events: tuple[EventType, float], now: float, retried: Iterable[EventType] = ()
) -> Progress:
    """Return the progress of an order with these events, in seconds after its row."""
    passed = {type_.value: Passed(_EPOCH + at, type_ not in retried) for type_, at in events}
    return Progress(passed, _EPOCH + now)


def _rounded(steps: Sequence[Sequence[float]]) -> list[list[float]]:
    return [[round(seconds, 3) for seconds in step] for step in steps]


def _orders(*ids: str) -> WaitingOrders:
    orders = WaitingOrders(_REVIEW, _FORWARD)
    for order_id in ids:
        orders.add(order_id, "shop", 0.0)
    return orders


_RECEIVED = (EventType.RECEIVED, 0.0)
_VALIDATED = (EventType.VALIDATED, 0.3)
_CHARGING = (EventType.CHARGING, 2.7)
_CHARGED = (EventType.CHARGED, 3.0)
_PREPARED = (EventType.PREPARED, 3.5)
_DISPATCHING = (EventType.DISPATCHING, 4.1)
_TRAIL = (_RECEIVED, _VALIDATED, _CHARGING, _CHARGED, _PREPARED, _DISPATCHING)


@pytest.mark.parametrize(
    ("trail", "now", "waits", "pending", "ages"),
    [
        ((), 1.0, True, 1, [[1.0], [], [], []]),
        (_TRAIL[:1], 1.0, True, 1, [[1.0], [], [], []]),
        # A person has the order for the length of the review.
        (_TRAIL[:2], 2.2, False, 1, [[], [], [], []]),
        (_TRAIL[:2], 2.8, True, 1, [[], [0.5], [], []]),
        # The payment gateway has it.
        (_TRAIL[:3], 9.0, False, 0, [[], [], [], []]),
        (_TRAIL[:4], 3.2, True, 1, [[], [], [0.2], []]),
        (_TRAIL[:5], 3.9, True, 1, [[], [], [], [0.4]]),
    ],
    ids=["no row", "received", "in review", "reviewed", "charging", "charged", "prepared"],
)
def test_an_order_waits_while_nobody_has_it(
    trail: tuple[tuple[EventType, float], ...],
    now: float,
    waits: bool,
    pending: int,
    ages: list[list[float]],
) -> None:
    orders = _orders("o")
    seen = orders.observe(now, {"o": _progress(*trail, now=now)} if trail else {})
    assert _rounded(seen.ages) == ages
    assert (orders.count, seen.waiting, seen.left) == (waits, waits, 0)
    assert orders.by_tenant == ({"shop": 1} if waits else {})
    assert orders.pending == pending
    assert orders.pending_by_tenant == ({"shop": pending} if pending else {})
    assert "o" in orders


@pytest.mark.parametrize(
    "end",
    [
        EventType.DISPATCHING,
        EventType.FULFILLED,
        EventType.CANCELLED,
        EventType.REJECTED,
        EventType.FAILED,
        EventType.TIMED_OUT,
    ],
)
def test_a_dispatched_or_ended_order_has_left(end: EventType) -> None:
    orders = _orders("o", "p")
    seen = orders.observe(1.0, {"o": _progress(_RECEIVED, (end, 0.9), now=1.0)})
    assert (seen.left, seen.waiting) == (1, 1)
    assert orders.ids == ["p"]
    assert orders.observe(1.5, {}).left == 0


def test_the_wait_of_each_step_is_observed_once_and_the_review_is_none() -> None:
    orders = _orders("o")
    seen = orders.observe(3.2, {"o": _progress(*_TRAIL[:4], now=3.2)})
    assert _rounded(seen.waits) == [[0.3], [0.4], [], []]
    seen = orders.observe(3.2, {"o": _progress(*_TRAIL[:4], now=3.2)})
    assert seen.waits == [[], [], [], []]
    seen = orders.observe(4.2, {"o": _progress(*_TRAIL, now=4.2)})
    assert _rounded(seen.waits) == [[], [], [0.5], [0.6]]
    assert seen.left == 1


def test_a_review_that_a_person_ended_early_leaves_no_negative_wait() -> None:
    trail = (_RECEIVED, (EventType.VALIDATED, 0.0), (EventType.CHARGING, 0.5))
    assert _orders("o").observe(1, {"o": _progress(*trail, now=1.0)}).waits[1] == [0.0]


@pytest.mark.parametrize("late", list(_TRAIL[1:3]))
def test_the_time_of_a_failed_attempt_is_no_wait(late: tuple[EventType, float]) -> None:
    read = _progress(*_TRAIL, now=5.0, retried=[late[0]])
    waits = _orders("o").observe(5, {"o": read}).waits
    assert [len(step) for step in waits] == [late is not _VALIDATED, late is not _CHARGING, 1, 1]


def test_an_order_without_time_left_waits_no_longer_and_has_not_left() -> None:
    orders = _orders("o", "p")
    orders.add("young", "shop", 1.0)
    assert orders.observe(_FORWARD, {}).waiting == 3
    seen = orders.observe(_FORWARD + 0.1, {"p": _progress(*_TRAIL, now=_FORWARD + 0.1)})
    assert (seen.left, seen.waiting) == (0, 1)
    assert seen.waits == [[], [], [], []]
    assert orders.ids == ["young"]


def test_tenants_are_counted() -> None:
    orders = WaitingOrders(_REVIEW, _FORWARD)
    for order_id, tenant in (("a", "shop"), ("b", "shop"), ("c", "batch")):
        orders.add(order_id, tenant, 0.0)
    assert orders.by_tenant == {"shop": 2, "batch": 1}
    orders.remove("c")
    orders.remove("unknown")
    assert (orders.by_tenant, orders.count) == ({"shop": 2}, 2)
    # In review: it takes no place, and gives back none.
    orders.observe(0.5, {"a": _progress(*_TRAIL[:2], now=0.5)})
    assert orders.by_tenant == {"shop": 1}
    orders.remove("a")
    assert (orders.by_tenant, orders.ids) == ({"shop": 1}, ["b"])
    # It waits again once the review is over.
    orders.add("a", "shop", 0.0)
    orders.observe(0.5, {"a": _progress(*_TRAIL[:2], now=0.5)})
    orders.observe(3.0, {"a": _progress(*_TRAIL[:2], now=3.0)})
    assert orders.by_tenant == {"shop": 2}


def test_progress_of_an_order_that_was_forgotten_meanwhile_says_nothing() -> None:
    orders = _orders("o")
    orders.remove("o")
    seen = orders.observe(4.2, {"o": _progress(*_TRAIL, now=4.2)})
    assert (seen.waits, seen.left, seen.waiting) == ([[], [], [], []], 0, 0)
