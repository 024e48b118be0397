"""A fleet in simulated time, in front of which the real limiter stands: minutes take milliseconds.

Two cores (or more) work on all steps in turn, later steps first, as Temporal's priority keys have
it, or on all alike, as a worker does that has slots for all; the payment gateway has slots; the
review is a timer. An order that is late at a step ends.
"""

import heapq
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Final

from orderfleet.domain.events import EventType
from orderfleet.store.progress import Passed, Progress
from orderfleet_api.admission.limiter import Limiter
from orderfleet_api.admission.shares import Shares
from orderfleet_api.admission.waiting import WaitingOrders

REVIEW: Final = 2.0
FORWARD: Final = 12.0
DEADLINE: Final = 15.0
QUIET: Final = "quiet"
_OBSERVE: Final = 0.5
# A core leaves a task for the next one after so long.
_TURN: Final = 0.01
_CARRIER: Final = 0.02


@dataclass
class SimulatedOrder:
    """An order, and when it passed which step."""

    number: int
    accepted: float
    tenant: str
    passed: dict[str, float] = field(default_factory=dict)
    end: EventType | None = None
    ended: float = 0.0

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.ended - self.accepted

    @property
    def in_time(self) -> bool:
        """Whether it was fulfilled within its time."""
        return self.end is EventType.FULFILLED and self.seconds <= DEADLINE

    @property
    def refunded(self) -> bool:
        """Whether it was charged and not fulfilled."""
        return EventType.CHARGED in self.passed and self.end is not EventType.FULFILLED


@dataclass
class Pod:
    """An API pod's own limiter and orders."""

    limiter: Limiter = field(default_factory=lambda: Limiter(FORWARD - REVIEW, REVIEW))
    waiting: WaitingOrders = field(default_factory=lambda: WaitingOrders(REVIEW, FORWARD))

    def __post_init__(self) -> None:
        self.shares = Shares(self.limiter, self.waiting)


@dataclass
class SimulatedFleet:
    """Cores and gateways.

    Attributes:
        cores: how many there are.
        work: seconds of a core that an order takes.
        pay_seconds: how long the payment gateway takes.
        slots: how many charges run at once.
        latency: seconds of the network before each step.
        by_priority: whether later steps come first, as in Temporal's queues; else all take turns,
            as in a worker with slots for all.
        received: the share of an order's work that is done before it has a row.
        refusal_work: seconds of a core that a refusal takes.
    """

    cores: float = 2
    work: float = 0.2
    pay_seconds: float = 0.02
    slots: int = 100
    latency: float = 0.03
    by_priority: bool = True
    received: float = 0.0
    refusal_work: float = 0.0
    pods: Sequence[Pod] = field(default_factory=lambda: [Pod()])
    seed: int = 1

    def __post_init__(self) -> None:
        self.now = 0.0
        self.orders: list[SimulatedOrder] = []
        self.refused: list[float] = []
        self.refused_of: Counter[str] = Counter()
        self._random = random.Random(self.seed)
        self._number = count()
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._tasks: list[tuple[int, int, float, Callable[[], None]]] = []
        self._to_charge: list[SimulatedOrder] = []
        self._busy = self._charging = 0

    @property
    def capacity(self) -> float:
        """Orders a second that the cores can do."""
        return self.cores / self.work

    def run(
        self,
        rate: Callable[[float], float],
        seconds: float,
        *changes: tuple[float, Callable[["SimulatedFleet"], None]],
        quiet: float = 0.0,
    ) -> None:
        """Offer orders at a rate that depends on the time, then let the last ones end.

        Beside it, tenant "quiet" offers so many a second, evenly.
        """
        self._after(0.0, lambda: self._offer(rate, seconds))
        if quiet:
            self._after(0.0, lambda: self._offer_evenly(1 / quiet, seconds))
        for number, pod in enumerate(self.pods):
            self._after(0.1 * number, partial(self._observe, pod))
        for at, change in changes:
            self._after(at, partial(change, self))
        while self._agenda and self.now < seconds + DEADLINE:
            self.now, _, step = heapq.heappop(self._agenda)
            step()

    def set_cores(self, cores: float) -> None:
        """Give the fleet more cores or fewer, from now on."""
        self.cores = cores
        self._work()

    def set_slots(self, slots: int) -> None:
        """Let more charges or fewer run at once, from now on."""
        self.slots = slots
        self._charge()

    def between(self, begin: float, end: float) -> list[SimulatedOrder]:
        """Return the orders that were accepted then."""
        return [order for order in self.orders if begin <= order.accepted < end]

    def fulfilled_a_second(self, begin: float, end: float) -> float:
        """Return the orders a second that were fulfilled in time then."""
        return sum(one.in_time and begin <= one.ended < end for one in self.orders) / (end - begin)

    def _after(self, seconds: float, step: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (self.now + seconds, next(self._number), step))

    def _offer(self, rate: Callable[[float], float], until: float) -> None:
        if self.now >= until:
            return
        self._place("tenant")
        self._after(self._random.expovariate(rate(self.now)), lambda: self._offer(rate, until))

    def _offer_evenly(self, pause: float, until: float) -> None:
        if self.now < until:
            self._place(QUIET)
            self._after(pause, lambda: self._offer_evenly(pause, until))

    def _place(self, tenant: str) -> None:
        pod = self._random.choice(self.pods)
        if pod.shares.refusal(tenant, self.now):
            self.refused.append(self.now)
            self.refused_of[tenant] += 1
            if self.refusal_work:
                self._queue(0, self.refusal_work, lambda: None)
            return
        order = SimulatedOrder(next(self._number), self.now, tenant)
        self.orders.append(order)
        pod.waiting.add(str(order.number), tenant, self.now)
        if self.received:
            self._step(order, self.received, 3, EventType.RECEIVED, self._validate)
        else:
            order.passed[EventType.RECEIVED] = self.now
            self._validate(order)

    def _validate(self, order: SimulatedOrder) -> None:
        self._step(order, 0.35 - self.received, 3, EventType.VALIDATED, self._review)

    # --- An order's steps ----------------------------------------------------------------------

    def _step(
        self,
        order: SimulatedOrder,
        share: float,
        priority: int,
        event: EventType | None,
        then: Callable[[SimulatedOrder], None],
    ) -> None:
        """Let the order wait for a core, which works on it for a share of its work."""

        def done() -> None:
            if self.now - order.accepted > FORWARD:
                self._end(order, EventType.TIMED_OUT)
                return
            if event is not None:
                order.passed[event] = self.now
            then(order)

        work = self.work * share * self._random.uniform(0.7, 1.3)
        latency = self.latency * self._random.uniform(0.5, 1.5)
        self._after(latency, lambda: self._queue(priority, work, done))

    def _review(self, order: SimulatedOrder) -> None:
        self._after(REVIEW, lambda: self._step(order, 0.2, 2, None, self._queue_charge))

    def _queue_charge(self, order: SimulatedOrder) -> None:
        self._to_charge.append(order)
        self._charge()

    def _charge(self) -> None:
        while self._to_charge and self._charging < self.slots:
            order = self._to_charge.pop(0)
            if self.now - order.accepted > FORWARD:
                self._end(order, EventType.TIMED_OUT)
                continue
            self._charging += 1
            order.passed[EventType.CHARGING] = self.now
            seconds = self.pay_seconds * self._random.uniform(0.8, 1.2)
            self._after(seconds, partial(self._charged, order))

    def _charged(self, order: SimulatedOrder) -> None:
        self._charging -= 1
        order.passed[EventType.CHARGED] = self.now
        self._step(order, 0.2, 1, EventType.PREPARED, self._dispatch)
        self._charge()

    def _dispatch(self, order: SimulatedOrder) -> None:
        self._step(order, 0.1, 1, EventType.DISPATCHING, self._ship)

    def _ship(self, order: SimulatedOrder) -> None:
        self._after(
            _CARRIER,
            lambda: self._queue(1, self.work * 0.15, lambda: self._end(order, EventType.FULFILLED)),
        )

    def _end(self, order: SimulatedOrder, end: EventType) -> None:
        order.end, order.ended = end, self.now
        order.passed[end] = self.now

    # --- Cores and limiters --------------------------------------------------------------------

    def _queue(self, priority: int, work: float, done: Callable[[], None]) -> None:
        key = priority if self.by_priority else 0
        heapq.heappush(self._tasks, (key, next(self._number), work, done))
        self._work()

    def _work(self) -> None:
        while self._tasks and self._busy < self.cores:
            priority, _, work, done = heapq.heappop(self._tasks)
            self._busy += 1
            turn = min(work, _TURN)
            self._after(turn, partial(self._worked, priority, work - turn, done))

    def _worked(self, priority: int, left: float, done: Callable[[], None]) -> None:
        self._busy -= 1
        if left > 0:
            self._queue(priority, left, done)
        else:
            done()
            self._work()

    def _observe(self, pod: Pod) -> None:
        mine = set(pod.waiting.ids)
        progress = {
            str(order.number): Progress(
                {type_: Passed(at, first_attempt=True) for type_, at in order.passed.items()},
                self.now,
            )
            for order in self.orders
            if order.passed and str(order.number) in mine
        }
        pod.shares.observe(self.now, progress)
        self._after(_OBSERVE, lambda: self._observe(pod))
