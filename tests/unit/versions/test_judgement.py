"""The judgement of builds, first by hand-made orders, then by simulated rollouts."""

import random
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from orderfleet.versions.judgement import (
    FIRST_TASK_SECONDS,
    Judgement,
    Limits,
    Order,
    Tally,
    Verdict,
    bad_orders,
    judge,
    overdue_seconds,
    p_value,
    widened,
)

LIMITS = Limits()


def ended(count: int, seconds: float = 2.5, end: str = "fulfilled") -> list[Order]:
    return [
        Order(f"{end}-{number}", seconds, end, good=end in {"fulfilled", "cancelled"})
        for number in range(count)
    ]


def still_open(count: int, seconds: float, *, begun: bool = True) -> list[Order]:
    return [Order(f"open-{number}", seconds, begun=begun) for number in range(count)]


def judged(
    new: list[Order],
    current: list[Order],
    seconds: float,
    before: list[Order] | None = None,
    timers: float = 0.0,
) -> Judgement:
    return judge(new, current, before or [], seconds=seconds, limits=LIMITS, timers=timers)


def test_a_good_build_has_ended_enough_orders_in_enough_time() -> None:
    assert judged(ended(20), ended(100), 29).verdict is Verdict.UNDECIDED
    assert judged(ended(19), ended(100), 30).verdict is Verdict.UNDECIDED
    assert judged(ended(20), ended(100), 30).verdict is Verdict.GOOD
    assert judged(ended(2), ended(20), 60).verdict is Verdict.GOOD


def test_without_orders_a_build_is_good_after_the_least_time() -> None:
    assert judged([], [], 29).verdict is Verdict.UNDECIDED
    assert judged([], [], 30).verdict is Verdict.GOOD
    assert judged([], ended(1), 30).verdict is Verdict.UNDECIDED
    assert judged([], ended(1), 60).verdict is Verdict.GOOD


def test_cancelled_orders_are_good_and_open_ones_count_for_nothing() -> None:
    new = ended(20, end="cancelled") + still_open(5, 1.0)
    assert judged(new, ended(100), 30).verdict is Verdict.GOOD


@pytest.mark.parametrize("end", ["failed", "timed_out", "rejected", "terminated", "unrecorded"])
def test_three_bad_ends_condemn(end: str) -> None:
    judgement = judged(ended(3, end=end), ended(25), 10)
    assert judgement.verdict is Verdict.BAD
    assert judgement.reason == (
        f"3 of 3 orders of the new build are bad (3 {end}), 0 of 25 of the current build's"
    )


def test_two_bad_ends_condemn_among_ten_if_the_current_build_has_none() -> None:
    two = ended(2, end="failed")
    assert judged(two, ended(25), 10).verdict is Verdict.UNDECIDED
    assert judged(ended(8) + two, ended(90), 25, ended(200)).verdict is Verdict.BAD
    current = ended(88) + ended(4, end="failed")
    assert judged(ended(8) + two, current, 25, ended(200)).verdict is Verdict.UNDECIDED


def test_a_bad_end_asks_for_longer_watching() -> None:
    new = ended(19) + ended(1, end="failed")
    assert judged(new, ended(180), 30).verdict is Verdict.UNDECIDED
    assert judged(new, ended(180), 60).verdict is Verdict.GOOD
    # Where such ends are usual it does not.
    assert judged(new, ended(170) + ended(10, end="failed"), 30).verdict is Verdict.GOOD


def test_an_outage_that_hits_both_builds_condemns_neither() -> None:
    new, current = ended(6) + ended(6, end="failed"), ended(50) + ended(50, end="failed")
    assert judged(new, current, 30, ended(200)).verdict is not Verdict.BAD


def test_without_orders_of_the_current_build_its_past_decides() -> None:
    assert judged(ended(3, end="failed"), ended(2), 10, ended(200)).verdict is Verdict.BAD


def test_a_build_whose_orders_mostly_end_badly_is_not_promoted() -> None:
    new = ended(1) + ended(2, end="failed")
    assert judged(new, [], 59).verdict is Verdict.UNDECIDED
    assert judged(new, [], 60).verdict is Verdict.BAD
    assert judged(new, ended(3, end="failed"), 60).verdict is Verdict.GOOD
    assert judged(ended(1, end="failed"), ended(4), 60).verdict is Verdict.GOOD


def test_an_order_without_a_first_task_is_bad_soon() -> None:
    hung = still_open(3, FIRST_TASK_SECONDS + 0.1, begun=False)
    judgement = judged(hung, ended(25), 12)
    assert judgement.verdict is Verdict.BAD
    assert "3 not begun" in judgement.reason
    young = still_open(3, FIRST_TASK_SECONDS - 0.1, begun=False)
    assert judged(young, ended(25), 12).verdict is Verdict.UNDECIDED


def test_an_order_is_overdue_by_what_the_current_build_takes() -> None:
    assert overdue_seconds(ended(10, 2.0), []) == 4.0
    assert overdue_seconds([], ended(10, 2.0)) == 4.0
    assert overdue_seconds(ended(10, 4.0), ended(10, 2.0)) == 7.0
    assert overdue_seconds(ended(4, 2.0), []) == 15.0
    assert judged(still_open(3, 4.9), ended(25, 2.5), 12).verdict is Verdict.BAD
    assert judged(still_open(3, 4.7), ended(25, 2.5), 12).verdict is Verdict.UNDECIDED
    both = still_open(3, 4.9), ended(25, 2.5) + still_open(10, 4.9)
    assert judged(*both, 12).verdict is Verdict.UNDECIDED


def test_a_slow_build_is_bad() -> None:
    judgement = judged(ended(10, 4.0), ended(90, 2.5), 30)
    assert judgement.verdict is Verdict.BAD
    assert judgement.reason == "orders take 4.0 s on the new build and 2.5 s on the current one"
    # Not half as long again; not a second more; too few orders.
    assert judged(ended(20, 3.6), ended(90, 2.5), 30).verdict is Verdict.GOOD
    assert judged(ended(14, 1.0), ended(90, 0.3), 60).verdict is Verdict.GOOD
    assert judged(ended(9, 4.0), ended(90, 2.5), 30).verdict is Verdict.UNDECIDED


def test_a_build_whose_work_takes_twice_as_long_is_bad() -> None:
    judgement = judged(ended(15, 2.9), ended(90, 2.3), 20, timers=2.0)
    assert judgement.verdict is Verdict.BAD
    assert judgement.reason == (
        "orders take 2.9 s on the new build and 2.3 s on the current one, 2.0 s of it by timers"
    )
    # Not twice the work; not 0.4 s more; too few orders.
    assert judged(ended(20, 3.0), ended(90, 2.5), 30, timers=1.9).verdict is Verdict.GOOD
    assert judged(ended(20, 2.4), ended(90, 2.1), 30, timers=2.0).verdict is Verdict.GOOD
    assert judged(ended(14, 2.9), ended(90, 2.3), 30, timers=2.0).verdict is Verdict.UNDECIDED


def test_open_orders_count_as_slow_once_they_are_older_than_the_usual_one() -> None:
    current = ended(90, 2.3)
    young, old = still_open(10, 2.2), still_open(15, 2.7)
    assert judged(ended(15, 2.9) + young, current, 20, timers=2.0).verdict is Verdict.BAD
    assert judged(old, current, 20, timers=2.0).verdict is Verdict.BAD


def test_bad_orders_are_those_that_count() -> None:
    new = ended(2) + ended(1, end="failed") + still_open(1, 9.0) + still_open(1, 1.0)
    assert [order.seconds for order in bad_orders(new, ended(10), [])] == [2.5, 9.0]


def test_the_share_grows_if_it_brings_too_few_orders() -> None:
    assert widened(10, 9, seconds=14, limits=LIMITS) == 10
    assert widened(10, 9, seconds=15, limits=LIMITS) == 30
    assert widened(10, 10, seconds=15, limits=LIMITS) == 10
    assert widened(40, 0, seconds=15, limits=LIMITS) == 50
    assert widened(50, 0, seconds=15, limits=LIMITS) == 50


@pytest.mark.parametrize(
    ("ours", "theirs", "p"),
    [
        (Tally(3, 3), Tally(0, 3), 1 / 20),
        (Tally(0, 5), Tally(0, 5), 1.0),
        (Tally(0, 0), Tally(0, 0), 1.0),
        (Tally(2, 10), Tally(0, 90), 45 / 4950),
        (Tally(1, 2), Tally(1, 2), 5 / 6),
    ],
)
def test_fishers_exact_test(ours: Tally, theirs: Tally, p: float) -> None:
    assert p_value(ours, theirs) == pytest.approx(p)


# --- Simulated rollouts --------------------------------------------------------------------------

RATE = 3.0
PERCENT = 10.0
# Until visibility shows what happened.
LAG = 0.3
# The review.
TIMERS = 2.0


@dataclass(frozen=True)
class Life:
    """What becomes of an order: times after its begin."""

    seconds: float
    end: str = "fulfilled"
    begun: float = 0.1


# The order's number on the new build, and what would become of it on the current one.
Build = Callable[[random.Random, int, Life], Life]


def good(_: random.Random, number: int, life: Life) -> Life:
    """Slow with its first orders, as a pod that starts is."""
    return Life(life.seconds + 2, life.end, life.begun + 2) if number < 3 else life


def other_commands(_: random.Random, number: int, life: Life) -> Life:
    """A later workflow task fails for ever: every second order is evicted and replayed."""
    return Life(15, "timed_out") if number % 2 else life


def other_shipping(_: random.Random, number: int, life: Life) -> Life:
    """The same in ShippingWorkflow: the attempt runs out of its time."""
    return Life(9, "timed_out") if number % 2 else life


def crash_on_the_first_order(_: random.Random, number: int, life: Life) -> Life:
    return Life(15, "timed_out", begun=100)


def deadlock(_: random.Random, number: int, life: Life) -> Life:
    return Life(15, "timed_out", begun=100)


def charge_fails(rng: random.Random, number: int, life: Life) -> Life:
    return Life(life.seconds, "failed") if rng.random() < 0.3 else life


def three_times_slower(_: random.Random, number: int, life: Life) -> Life:
    return Life(3 * life.seconds, life.end)


def three_times_the_work(_: random.Random, number: int, life: Life) -> Life:
    return Life(TIMERS + 3 * (life.seconds - TIMERS), life.end)


def wrong_schema(_: random.Random, number: int, life: Life) -> Life:
    """Every statement fails."""
    return Life(9, "failed")


def leak(_: random.Random, number: int, life: Life) -> Life:
    """Killed with the fifth order; back 12 s later, too late for those under way."""
    return Life(15, "timed_out") if number >= 5 else life


# Beside these: what crashes at start never polls, and a refund that does not replay gets no ramp.
BAD = [
    other_commands,
    other_shipping,
    crash_on_the_first_order,
    deadlock,
    three_times_slower,
    wrong_schema,
    leak,
]


@dataclass(frozen=True)
class Rollout:
    """How a simulated rollout went."""

    verdict: Verdict
    seconds: float
    orders: int


def rolled_out(build: Build, seed: int, bad_share: float = 0.0, before: int = 200) -> Rollout:
    """Simulate a rollout of a build; both builds have this share of bad ends by themselves."""
    rng = random.Random(seed)

    def life() -> Life:
        seconds = 2.2 + rng.lognormvariate(-1.2, 0.5)
        return Life(seconds, "failed" if rng.random() < bad_share else "fulfilled")

    def seen(number: int, began: float, life: Life, now: float) -> Order:
        if began + life.seconds + LAG <= now:
            return Order(str(number), life.seconds, life.end, good=life.end == "fulfilled")
        return Order(str(number), now - began, begun=began + life.begun + LAG <= now)

    past = [seen(number, -100, life(), 0) for number in range(before)]
    orders: list[tuple[bool, float, Life]] = []
    percent, arrival, new_orders = PERCENT, rng.expovariate(RATE), 0
    for now in range(1, 62):
        while arrival < now:
            is_new, usual = rng.random() * 100 < percent, life()
            mine = build(rng, new_orders, usual) if is_new else usual
            orders.append((is_new, arrival, mine))
            new_orders += is_new
            arrival += rng.expovariate(RATE)
        new, current = (
            [
                seen(number, began, life, now)
                for number, (is_new, began, life) in enumerate(orders)
                if is_new is wanted and began + LAG <= now
            ]
            for wanted in (True, False)
        )
        judgement = judge(new, current, past, seconds=now, limits=LIMITS, timers=TIMERS)
        if judgement.verdict is not Verdict.UNDECIDED:
            return Rollout(judgement.verdict, now, new_orders)
        percent = max(percent, widened(PERCENT, len(new), seconds=now, limits=LIMITS))
    raise AssertionError("no verdict in 60 s")


@pytest.mark.parametrize("build", BAD)
def test_every_bad_build_is_stopped_in_time(build: Build) -> None:
    rollouts = [rolled_out(build, seed) for seed in range(200)]
    assert {rollout.verdict for rollout in rollouts} == {Verdict.BAD}
    assert max(rollout.seconds for rollout in rollouts) <= 50
    assert sorted(rollout.seconds for rollout in rollouts)[100] <= 25


def test_a_build_whose_work_takes_three_times_as_long_is_stopped_in_time() -> None:
    rollouts = [rolled_out(three_times_the_work, seed) for seed in range(200)]
    assert {rollout.verdict for rollout in rollouts} == {Verdict.BAD}
    assert max(rollout.seconds for rollout in rollouts) <= 50
    assert sorted(rollout.seconds for rollout in rollouts)[100] <= 30


def test_a_build_that_fails_three_orders_in_ten_is_stopped_in_time() -> None:
    """Chance: one build in two hundred shows a single failure in 60 s, or none."""
    rollouts = [rolled_out(charge_fails, seed) for seed in range(1000)]
    missed = sum(rollout.verdict is Verdict.GOOD for rollout in rollouts)
    assert missed <= 10
    assert sorted(rollout.seconds for rollout in rollouts)[500] <= 25


@pytest.mark.parametrize("before", [0, 200])
@pytest.mark.parametrize("bad_share", [0.0, 0.02, 0.2])
def test_fewer_than_one_good_build_in_a_hundred_is_condemned(bad_share: float, before: int) -> None:
    rollouts = [rolled_out(good, seed, bad_share, before) for seed in range(600)]
    # Where one order in five ends badly on any build, two in a hundred.
    most = 12 if bad_share >= 0.2 else 6
    assert sum(rollout.verdict is Verdict.BAD for rollout in rollouts) < most
