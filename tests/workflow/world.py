"""A model of the store and of the two gateways, and what each test scripts of them.

The model competes for an order's row as the store does, so that a workflow that does not follow
what the row says is found out. The real statements are tested against Postgres elsewhere.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from msgspec import Struct, field
from temporalio.exceptions import ApplicationError

from orderfleet.domain.contract import CARRIER_REFUSED, ORDER_CLOSED, PAYMENT_DECLINED
from orderfleet.domain.events import Event, EventType
from orderfleet.domain.orders import OPEN_STATES, Address, Order, OrderState, states_before
from orderfleet.domain.payments import PaymentStatus
from orderfleet.gateways.protocols import ChargeStatus
from orderfleet.store.transitions import Transition
from orderfleet_order_worker.reconciliation.activities import Traces
from tests.workflow.actions import Action, Work, go


class Row(Struct):
    """An order as the store would have it."""

    order: Order
    state: OrderState
    address: Address
    payment: PaymentStatus | None = None
    dispatch_key: str | None = None
    dispatch_claim: str | None = None
    events: list[Event] = field(default_factory=list)

    def has(self, key: str) -> bool:
        return any(event.key == key for event in self.events)

    def event(self, key: str) -> Event:
        return next(event for event in self.events if event.key == key)


class World:
    """The rows, what the gateway and the carrier hold, and the script of each order."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.payers: dict[str, str] = {}
        self.ledger: dict[str, ChargeStatus] = {}
        self.packages: dict[str, str] = {}
        self.traces: dict[str, Traces] = {}
        self.calls: defaultdict[str, list[str]] = defaultdict(list)
        self._scripts: dict[tuple[str, str], Iterator[Action]] = {}

    def script(self, order_id: str, name: str, actions: Iterable[Action]) -> None:
        """Say what the next calls do; those after them go on."""
        self._scripts[order_id, name] = iter(actions)

    def shipped(self, order_id: str) -> list[str]:
        """Return where the packages are that have left for the order."""
        return [
            address
            for key, address in self.packages.items()
            if key.split("/")[0] == order_id and address not in {"voided", "recalled"}
        ]

    def move(
        self,
        order_id: str,
        event: Event,
        *,
        to: OrderState | None = None,
        before: frozenset[OrderState] | None = None,
    ) -> Transition | None:
        """Do what the store's statement does, edge by edge of the graph."""
        row = self.rows.get(order_id)
        if row is None:
            return None
        if row.has(event.key):
            return Transition(row.state, moved=False, repeated=True)
        allowed = before if to is None else states_before(to) & (before or OPEN_STATES)
        moved = allowed is None or row.state in allowed
        if moved:
            row.state = to or row.state
            row.events.append(event)
        return Transition(row.state, moved=moved, repeated=False)

    async def act(self, order_id: str, name: str, work: Work) -> Any:
        self.calls[order_id].append(name)
        script = self._scripts.get((order_id, name), iter(()))
        return await next(script, go)(work)

    async def capture(self, payment_id: str) -> None:
        if self.ledger.setdefault(payment_id, ChargeStatus.CAPTURED) is not ChargeStatus.CAPTURED:
            raise permanent("declined: the key is void", PAYMENT_DECLINED)

    def claim(self, order_id: str, key: str, claim: str) -> None:
        row = self.rows[order_id]
        if row.state is OrderState.SHIPPING:
            row.state, row.dispatch_key = OrderState.DISPATCHING, key
        elif row.state is not OrderState.DISPATCHING:
            raise permanent(f"order is {row.state}", ORDER_CLOSED)
        row.dispatch_claim = claim
        row.events.append(Event(EventType.DISPATCHING, f"dispatching/{claim}"))

    async def take(self, key: str, address: Address) -> None:
        if self.packages.setdefault(key, address.street) in {"voided", "recalled"}:
            raise permanent("the key was recalled", CARRIER_REFUSED)


def permanent(message: str, kind: str) -> ApplicationError:
    return ApplicationError(message, type=kind, non_retryable=True)


def closed(transition: Transition | None) -> ApplicationError:
    return permanent(
        f"order is {'unknown' if transition is None else transition.state}", ORDER_CLOSED
    )
