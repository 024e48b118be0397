"""The orders that this pod accepted, and how long each has waited for which step.

An order waits while it is in no gateway's and no person's hands: for its first task, after the
review for its charge, for the package, for the dispatch. After that it has left.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Final, NamedTuple

from msgspec import Struct

from orderfleet.domain.events import EventType
from orderfleet.domain.orders import OrderState
from orderfleet.store.progress import Progress
from orderfleet_api.admission.limiter import Observation


class _Step(NamedTuple):
    """A wait: from one event to the next, the review's time not counted."""

    begins: EventType
    ends: EventType
    reviewed: bool = False


_STEPS: Final = (
    _Step(EventType.RECEIVED, EventType.VALIDATED),
    _Step(EventType.VALIDATED, EventType.CHARGING, reviewed=True),
    _Step(EventType.CHARGED, EventType.PREPARED),
    _Step(EventType.PREPARED, EventType.DISPATCHING),
)
_LEFT: Final = frozenset(
    {EventType.DISPATCHING, *(EventType(state.value) for state in OrderState if state.ended)}
)


class _Order(Struct):
    tenant: str
    accepted_at: float
    waits: bool = True
    in_gateway: bool = False
    passed: int = 0


class WaitingOrders:
    """A pod's orders from their acceptance to their dispatch, or to the end of their time."""

    def __init__(self, review_seconds: float, forward_seconds: float) -> None:
        self._review = review_seconds
        self._forward = forward_seconds
        self._orders: dict[str, _Order] = {}

    def __contains__(self, order_id: str) -> bool:
        return order_id in self._orders

    @property
    def ids(self) -> list[str]:
        """The ids of all orders that have not left."""
        return list(self._orders)

    @property
    def pending(self) -> int:
        """How many wait or are in a review, and so will wait again."""
        # Of a copy: a scrape reads it in its own thread.
        return sum(not order.in_gateway for order in list(self._orders.values()))

    @property
    def pending_by_tenant(self) -> Mapping[str, int]:
        """The same, by tenant; only tenants with such an order."""
        return Counter(order.tenant for order in self._orders.values() if not order.in_gateway)

    @property
    def count(self) -> int:
        """How many wait."""
        # Of a copy: a scrape reads it in its own thread.
        return sum(order.waits for order in list(self._orders.values()))

    @property
    def by_tenant(self) -> Mapping[str, int]:
        """How many wait, by tenant; only tenants with an order that waits."""
        return Counter(order.tenant for order in self._orders.values() if order.waits)

    def add(self, order_id: str, tenant: str, now: float) -> None:
        """Let an order wait from now on."""
        self._orders[order_id] = _Order(tenant, now)

    def remove(self, order_id: str) -> None:
        """Forget an order that was not accepted."""
        self._orders.pop(order_id, None)

    def observe(self, now: float, progress: Mapping[str, Progress]) -> Observation:
        """Take in the progress that was read, and return what it says."""
        waits: list[list[float]] = [[] for _ in _STEPS]
        ages: list[list[float]] = [[] for _ in _STEPS]
        before = len(self._orders)
        # An order without time left takes no more of the fleet's.
        late = [
            one for one, order in self._orders.items() if now - order.accepted_at > self._forward
        ]
        for order_id in late:
            del self._orders[order_id]
        for order_id, read in progress.items():
            order = self._orders.get(order_id)
            if order is None:
                continue
            self._collect(order, read, waits)
            if _LEFT & read.passed.keys():
                del self._orders[order_id]
                continue
            order.waits = self._age(read, ages)
            order.in_gateway = _in_gateway(read)
        for order_id, order in self._orders.items():
            if order_id not in progress and (age := now - order.accepted_at) > 0:
                ages[0].append(age)
        left = before - len(self._orders) - len(late)
        return Observation(waits, ages, left, self.count)

    def _collect(self, order: _Order, read: Progress, waits: list[list[float]]) -> None:
        """Collect the waits of the steps that the order has passed since the last time."""
        for number, step in enumerate(_STEPS[order.passed :], order.passed):
            begun, ended = read.passed.get(step.begins), read.passed.get(step.ends)
            if ended is None:
                continue
            order.passed = number + 1
            if begun is not None and ended.first_attempt:
                review = self._review if step.reviewed else 0.0
                waits[number].append(max(0.0, ended.at - begun.at - review))

    def _age(self, read: Progress, ages: list[list[float]]) -> bool:
        """Note how long the order has waited for its next step; return whether it waits."""
        for number, step in reversed(list(enumerate(_STEPS))):
            if step.ends in read.passed:
                return False
            if (begun := read.passed.get(step.begins)) is not None:
                age = read.now - begun.at - (self._review if step.reviewed else 0.0)
                if age > 0:
                    ages[number].append(age)
                return age > 0
        return True


def _in_gateway(read: Progress) -> bool:
    return EventType.CHARGING in read.passed and EventType.CHARGED not in read.passed
