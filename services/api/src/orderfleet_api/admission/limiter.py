"""The limiter: how many of a pod's orders may wait at once, derived from how long they wait.

Little's law: the orders that wait are the throughput times the wait. So while the wait is longer
than its budget, the limit is the measured throughput times the budget. While the wait is short, the
limit grows as long as it is in use, since then nobody knows what the fleet can do.

The wait is measured as CoDel (RFC 8289) measures it, by its low quantile and not by its mean: what
all orders have waited stands in a queue, what some have waited was a retry or a hung gateway.
"""

from collections import deque
from collections.abc import Sequence
from itertools import chain, zip_longest
from math import ceil
from statistics import median
from typing import Final

from msgspec import Struct

from orderfleet_api.admission.window import append

# Of an order's forward time without the review. In the simulation a fifth lets orders of a fleet
# that loses half of its workers end late, an eighth costs 3 % of the throughput.
_SHARE: Final = 1 / 6
# The limit of a fleet about which nothing is known yet, as in Netflix' concurrency-limits.
_INITIAL: Final = 20.0
# Over how long the standing wait is measured; also over how long its latest value is.
_WAIT_SECONDS: Final = 3.0
_LATEST_SECONDS: Final = 1.1
# The throughput is the best of the last 10 s, each over 6 s, as in BBR: in a trough of the load
# there was nothing to work on.
_THROUGHPUT_SECONDS: Final = 6.0
_BEST_SECONDS: Final = 10.0
_QUANTILE: Final = 0.1
# So many orders that wait for a step which none has passed count instead of those that passed it.
_FEW: Final = 5
# With fewer that wait, and most of the limit free, a long wait is a killed worker's and no queue.
_CROWD: Final = 3
# The most by which one observation lowers the limit.
_FALL: Final = 0.7
# The limit grows while the wait is within this share of the budget: by half an order for each that
# has left, up to three times what Little's law makes of the throughput: a fleet that loses half of
# its workers then still ends in time what waits.
_HEADROOM: Final = 0.8
_GROWTH: Final = 0.5
_MOST: Final = 3.0
# How many may wait or be in a review, in multiples of what Little's law says of the budget and the
# review: orders in the review do not wait, but all will, and a new fleet's limit knows of none.
_PENDING: Final = 2.0
# Of a tenant that floods others less may be pending, so that the queue stays short: what Little's
# law makes of the throughput of the last seconds, and a margin. The budget is a quarter, or half
# more than the least wait of the last two minutes, which may be the way to a server far away. The
# margin is 0.3 at first and less the longer orders wait, as in TCP Vegas, down to 0.05 from a
# quarter of the budget on. Where next to nothing queues it grows by a twentieth each time, or the
# throughput, from which all is made, would take minutes to rise to what the fleet can do.
_SHORT: Final = 1 / 4
_OF_LEAST: Final = 1.5
_LEAST_SECONDS: Final = 120.0
_LOOSE: Final = 1.3
_TIGHT: Final = 1.05
_QUEUE: Final = 1 / 4
_NO_QUEUE: Final = 0.3
_WIDER: Final = 1.05
_LOOSEST: Final = 3.0
# What the law says of a small fleet, and of each of two pods of one, is less than the 20 that may
# be pending in any case. So of a flood these become 12 the more orders queue: in the simulation
# others then wait 1.5 times as long as alone, and not 1.8 (a fleet of 5 orders a second) or 2.1
# (two pods of one of 10). With 12 always, the return after an outage is slow.
_QUEUING: Final = 12.0
# No faster than that may orders of a flood come, in multiples of the throughput.
_FASTER: Final = 2.0
# A fleet without throughput may be one of an order a second, to which 20 are more than their time
# allows. So once an order has waited for half of the budget, and for a second after, no more than
# four may be pending: 0 or 1 of 260 orders are late in front of such a fleet, and were 18.
_DOUBT: Final = 0.5
_DOUBT_SECONDS: Final = 0.9
_DOUBTED: Final = 4.0
# Back to the limit of a fleet about which nothing is known it grows in any case, by a quarter, an
# order at most: after an outage the limit is 1.
_RECOVERY: Final = 0.25
# A limit that was not in use for so long falls to twice what was.
_UNUSED_SECONDS: Final = 10.0
_UNUSED_FALL: Final = 0.95


class Observation(Struct, frozen=True):
    """What has become of a pod's orders since the last observation.

    Attributes:
        waits: for each step the seconds that orders have waited for it, of those that passed it at
            the first attempt.
        ages: for each step the seconds that orders have waited for it so far.
        left: how many orders wait no longer: they are dispatched, or have ended.
        waiting: how many wait for any step.
    """

    waits: Sequence[Sequence[float]]
    ages: Sequence[Sequence[float]]
    left: int
    waiting: int


class Limiter:
    """The limit of one pod. It has no clock: the caller passes the time, in seconds."""

    def __init__(self, forward_seconds: float, review_seconds: float) -> None:
        """Make a limiter.

        Args:
            forward_seconds: an order's time for its steps, without the review.
            review_seconds: an order's time in the review.
        """
        self.limit = _INITIAL
        self.standing_wait = 0.0
        self.throughput = 0.0
        self._latest = 0.0
        self._budget = forward_seconds * _SHARE
        self._short_wait = self._budget
        self._margin = _TIGHT
        self._queued = 0.0
        self._review = review_seconds
        self._in_use = False
        self._unknown = _INITIAL
        self._doubted_at = float("-inf")
        self._seen: deque[tuple[float, Observation]] = deque()
        self._most: deque[tuple[float, int]] = deque()
        self._throughputs: deque[tuple[float, float]] = deque()
        self._standing_waits: deque[tuple[float, float]] = deque()

    @property
    def pending_limit(self) -> float:
        """How many orders may wait or be in a review."""
        return max(self._unknown, _PENDING * self.throughput * (self._budget + self._review))

    @property
    def flood_limit(self) -> float:
        """The same, for a tenant that floods others."""
        # Of the last seconds, not the best: in a flood there are no troughs of the load.
        law = self._margin * self._latest * (self._short_wait + self._review)
        return max(self._unknown_of_flood, law)

    @property
    def _unknown_of_flood(self) -> float:
        return min(self._unknown, _INITIAL - (_INITIAL - _QUEUING) * self._queued)

    def pace(self, pending: int) -> float:
        """Return how many orders a second may come of floods: the more, the fewer are pending."""
        faster = min(_FASTER, self.flood_limit / max(1, pending))
        return max(self._unknown_of_flood / (self._budget + self._review), faster * self._latest)

    def admits(
        self, waiting: int, pending: int, *, background: bool = False, flood: bool = False
    ) -> bool:
        """Tell whether one order more may wait.

        Args:
            waiting: how many wait.
            pending: the same, and those in a review, which will wait again.
            background: whether the order may take half of the limit only.
            flood: whether it is of a tenant that floods others.
        """
        most = self.flood_limit if flood else self.pending_limit
        self._in_use = self._in_use or waiting >= self.limit / 2 or pending >= most
        share = 0.5 if background else 1.0
        return waiting < share * self.limit and pending < share * most

    def seconds_until_free(self, waiting: int) -> float:
        """Return how long it takes until those that wait now wait no longer.

        Without a throughput it is not known: forever if they wait long already, else at once.
        """
        if self.throughput:
            return waiting / self.throughput
        return float("inf") if self.standing_wait > self._budget else 0.0

    def observe(self, now: float, seen: Observation) -> None:
        """Adjust the limit; called every half second or so."""
        self._remember(now, seen)
        if max(chain.from_iterable(seen.ages), default=0.0) > _DOUBT * self._budget:
            self._unknown, self._doubted_at = _DOUBTED, now
        elif now > self._doubted_at + _DOUBT_SECONDS:
            self._unknown = _INITIAL
        self.standing_wait = self._standing(now - _WAIT_SECONDS, seen.ages)
        passed = self._waits_since(now - _WAIT_SECONDS)
        if all(passed):
            append(self._standing_waits, now, self.standing_wait, _LEAST_SECONDS)
            least = min(wait for _, wait in self._standing_waits)
            self._short_wait = min(self._budget, max(self._budget * _SHORT, least * _OF_LEAST))
            queue = (self.standing_wait - least) / (self._short_wait * _QUEUE)
            self._queued = min(1.0, max(0.0, (queue - _NO_QUEUE) / (1 - _NO_QUEUE)))
            if queue < _NO_QUEUE:
                self._margin = min(max(self._margin, _LOOSE) * _WIDER, _LOOSEST)
            else:
                self._margin = max(_TIGHT, _LOOSE - (_LOOSE - _TIGHT) * queue)
        # Where no order has passed any step, the wait of those that wait has no later value.
        stalled = not any(passed)
        latest = self.standing_wait if stalled else self._standing(now - _LATEST_SECONDS)
        crowded = self._in_use or seen.waiting >= _CROWD
        if crowded and min(self.standing_wait, latest) > self._budget:
            wanted = max(self.throughput * self._budget, self.limit * _FALL)
            self.limit = max(1.0, min(self.limit, wanted))
        else:
            if latest <= self._budget * _HEADROOM and any(seen.waits):
                self._grow(seen.left)
            if (used := 2 * max(most for _, most in self._most)) < self.limit:
                self.limit = max(min(self.limit, _INITIAL), used, self.limit * _UNUSED_FALL)
        self._in_use = False

    def _grow(self, left: int) -> None:
        if self.limit < _INITIAL:
            self.limit += min(1.0, self.limit * _RECOVERY)
        if self._in_use:
            most = max(_INITIAL, self.throughput * self._budget * _MOST)
            self.limit = max(self.limit, min(self.limit + left * _GROWTH, most))

    def _remember(self, now: float, seen: Observation) -> None:
        append(self._seen, now, seen, _THROUGHPUT_SECONDS)
        append(self._most, now, seen.waiting, _UNUSED_SECONDS)
        # What the oldest observation counted happened before it.
        since, oldest = self._seen[0]
        left = sum(one.left for _, one in self._seen) - oldest.left
        self._latest = left / (now - since) if now > since else 0.0
        append(self._throughputs, now, self._latest, _BEST_SECONDS)
        self.throughput = max(best for _, best in self._throughputs)

    def _standing(self, since: float, ages: Sequence[Sequence[float]] = ()) -> float:
        """Return the wait since then: of each step the low quantile, all steps together."""
        standing = 0.0
        for waits, waiting in zip_longest(self._waits_since(since), ages, fillvalue=()):
            if waits:
                standing += sorted(waits)[int(len(waits) * _QUANTILE)]
            elif len(waiting) >= _FEW:
                standing += median(waiting)
        return standing

    def _waits_since(self, since: float) -> list[list[float]]:
        """Return the waits that were observed since then, by step."""
        recent = [one.waits for at, one in self._seen if at > since]
        return [list(chain.from_iterable(step)) for step in zip(*recent, strict=True)]


def retry_after(seconds: float, longest: float) -> int:
    """Return whole seconds, from 1 to the longest."""
    return ceil(min(max(seconds, 1.0), longest))
