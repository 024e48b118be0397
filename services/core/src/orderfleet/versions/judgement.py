"""Whether a new build is good: the ends of its orders beside those of the current build's.

Pure: what the gate sees goes in, a verdict comes out. The numbers are from simulated rollouts at
3 orders/s and a share of 10 % (tests/unit/versions/test_judgement.py).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import comb
from statistics import median
from typing import Final

# Chances that a build like the current one looks so bad. The first is per look: over all looks of a
# rollout fewer than 1 % of good builds are condemned. The second compares with orders of the same
# time only: an outage of a gateway or of Postgres hits both builds and condemns neither.
_SIGNIFICANCE: Final = 0.002
_SIGNIFICANCE_NOW: Final = 0.05
# Below this the gate watches longer.
_SUSPICION: Final = 0.2
# Fewer bad orders than this condemn no build: a pod that starts is slow with its first ones. Two
# are enough of ten or more.
_LEAST_BAD: Final = 3
_LEAST_BAD_OF_MANY: Final = 2
_MANY: Final = 10
# A build is slow if its median order takes so many times as long, and so many seconds longer.
_SLOWER: Final = 1.5
_SECONDS_SLOWER: Final = 1.0
# Or if an order's work, which is its time without its timers, takes so many times as long, and so
# many seconds longer. A review of 2 s hides work of 0.3 s. One more timer of a millisecond made
# shipping attempts of 0.2 s take 0.5 s on a busy machine.
_WORK_SLOWER: Final = 2.0
_WORK_SECONDS_SLOWER: Final = 0.4
_MANY_TIMED: Final = 15
# An order is overdue after 1.5 times what nine in ten of the current build's orders take, and 1 s.
_USUAL: Final = 0.9
# Of fewer orders neither their times nor their ends say what is usual.
_LEAST_COMPARED: Final = 5
# The default deadline of an order: overdue, while no time of the current build is known.
_DEADLINE: Final = 15.0
# A workflow's first task takes 0.1 s. A task whose worker hangs or dies times out after 2 s.
FIRST_TASK_SECONDS: Final = 3.0
# How the share grows if it brings too few orders, and up to where.
_WIDER: Final = 3.0
_WIDEST: Final = 50.0


class Verdict(StrEnum):
    """What the gate does: promote, roll back, or go on watching."""

    GOOD = "good"
    BAD = "bad"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Judgement:
    """A verdict, and what led to it, as a text for people."""

    verdict: Verdict
    reason: str


@dataclass(frozen=True)
class Order:
    """An order, or a shipping attempt, on one of the two builds."""

    id: str
    # From its begin to its end, or until now.
    seconds: float
    # `fulfilled`, `timed_out`, ...; empty while it is open.
    end: str = ""
    # Whether a good build's orders end so, too.
    good: bool = False
    # Whether a worker has completed the first workflow task.
    begun: bool = True


@dataclass(frozen=True)
class Limits:
    """How much a good build has to show; settings of the gate."""

    least_orders: int = 20
    least_seconds: float = 30.0
    most_seconds: float = 60.0


@dataclass(frozen=True)
class Tally:
    """Bad orders among those that have ended or are overdue."""

    bad: int
    orders: int

    @property
    def mostly_bad(self) -> bool:
        """Whether more than half of the orders are bad."""
        return self.bad > self.orders / 2

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(self.bad + other.bad, self.orders + other.orders)


def judge(
    new: Sequence[Order],
    current: Sequence[Order],
    before: Sequence[Order],
    *,
    seconds: float,
    limits: Limits,
    timers: float = 0.0,
) -> Judgement:
    """Judge a build by its orders.

    Args:
        new: the orders that began on the new build since the ramp began.
        current: those that began on the current build in the same time.
        before: the last orders of the current build that ended before the ramp.
        seconds: how long the new build has been watched.
        limits: how much a good build has to show.
        timers: for how many seconds a usual order of the current build waits for its timers.
    """
    overdue = overdue_seconds(current, before)
    ours, theirs, theirs_before = (_tally(orders, overdue) for orders in (new, current, before))
    counts = _counts(new, overdue)
    reason = (
        f"{ours.bad} of {ours.orders} orders of the new build are bad{counts}, "
        f"{theirs.bad} of {theirs.orders} of the current build's"
    )
    chance = p_value(ours, theirs + theirs_before)
    if _is_significant(ours, chance, theirs):
        return Judgement(Verdict.BAD, reason)
    if slow := _slower(new, current, timers):
        return Judgement(Verdict.BAD, slow)
    if seconds >= limits.most_seconds:
        # Too few orders to compare with, maybe none; two of three need no comparison.
        hopeless = ours.bad >= _LEAST_BAD_OF_MANY and ours.mostly_bad
        condemned = hopeless and not (theirs + theirs_before).mostly_bad
        return Judgement(Verdict.BAD if condemned else Verdict.GOOD, reason)
    if seconds < limits.least_seconds or chance < _SUSPICION:
        return Judgement(Verdict.UNDECIDED, reason)
    if ours.orders >= limits.least_orders or not (new or current):
        return Judgement(Verdict.GOOD, reason)
    return Judgement(Verdict.UNDECIDED, reason)


def bad_orders(
    new: Sequence[Order], current: Sequence[Order], before: Sequence[Order]
) -> list[Order]:
    """Return the new build's orders that ended badly or have been open for too long."""
    overdue = overdue_seconds(current, before)
    return [order for order in new if _problem(order, overdue)]


def overdue_seconds(current: Sequence[Order], before: Sequence[Order]) -> float:
    """Return how long an order may be open; one that is open for longer is bad."""
    samples = [[order.seconds for order in orders if order.end] for orders in (current, before)]
    usual = [
        sorted(sample)[int(_USUAL * (len(sample) - 1))]
        for sample in samples
        if len(sample) >= _LEAST_COMPARED
    ]
    return max(usual) * _SLOWER + _SECONDS_SLOWER if usual else _DEADLINE


def widened(percent: float, orders: int, *, seconds: float, limits: Limits) -> float:
    """Return the share of new orders that a build without a bad verdict has from now on.

    10 % of 3 orders/s are 16 orders in 60 s: of the builds that fail three orders in ten, 5 % pass.
    If half of the least time brings fewer than half of the least orders, the share is three times
    as large from then on; of those builds 0.5 % pass then.
    """
    if seconds < limits.least_seconds / 2 or orders >= limits.least_orders / 2:
        return percent
    return max(percent, min(percent * _WIDER, _WIDEST))


def p_value(ours: Tally, theirs: Tally) -> float:
    """Return Fisher's exact p: the chance of so many bad orders here if both builds are alike."""
    bad, orders = ours.bad + theirs.bad, ours.orders + theirs.orders
    ways = sum(
        comb(bad, count) * comb(orders - bad, ours.orders - count)
        for count in range(ours.bad, min(ours.orders, bad) + 1)
    )
    return ways / comb(orders, ours.orders)


def _is_significant(ours: Tally, chance: float, theirs: Tally) -> bool:
    """Return whether so many bad orders are no chance.

    Args:
        ours: of the new build.
        chance: of so many, compared with all orders of the current build.
        theirs: of the current build, at the same time.
    """
    least = _LEAST_BAD if ours.orders < _MANY else _LEAST_BAD_OF_MANY
    now = p_value(ours, theirs) if theirs.orders >= _LEAST_COMPARED else 0.0
    return ours.bad >= least and chance < _SIGNIFICANCE and now < _SIGNIFICANCE_NOW


def _tally(orders: Sequence[Order], overdue: float) -> Tally:
    bad = sum(1 for order in orders if _problem(order, overdue))
    return Tally(bad, bad + sum(1 for order in orders if order.good))


def _problem(order: Order, overdue: float) -> str:
    """Return what is bad about an order, or nothing."""
    if order.end:
        return "" if order.good else order.end
    if not order.begun and order.seconds > FIRST_TASK_SECONDS:
        return "not begun"
    return "still open" if order.seconds > overdue else ""


def _counts(orders: Sequence[Order], overdue: float) -> str:
    problems = Counter(filter(None, (_problem(order, overdue) for order in orders)))
    counts = ", ".join(f"{count} {problem}" for problem, count in problems.most_common())
    return f" ({counts})" if counts else ""


def _slower(new: Sequence[Order], current: Sequence[Order], timers: float) -> str:
    """Return how much slower the new build is, or nothing."""
    usual = [order.seconds for order in current if order.end]
    if len(usual) < _MANY:
        return ""
    theirs = median(usual)
    # An order will take at least the time that it has been open: a lower bound. A younger one that
    # is open says nothing.
    timed = [order.seconds for order in new if order.end or order.seconds > theirs]
    if len(timed) < _MANY:
        return ""
    ours, work = median(timed), max(theirs - timers, 0.0)
    slow = ours >= max(theirs * _SLOWER, theirs + _SECONDS_SLOWER)
    slow_work = ours - theirs >= max(work * (_WORK_SLOWER - 1), _WORK_SECONDS_SLOWER)
    if not slow and (not slow_work or len(timed) < _MANY_TIMED):
        return ""
    besides = f", {timers:.1f} s of it by timers" if timers else ""
    return (
        f"orders take {ours:.1f} s on the new build and {theirs:.1f} s on the current one{besides}"
    )
