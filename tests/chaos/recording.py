"""What a run of chaos leaves: calls, rows, ledgers, workflows and disturbances, as plain values."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

from msgspec import Struct, field

from orderfleet.domain.contract import order_of

T = TypeVar("T")

PLACE: Final = "place"
REVIEW: Final = "review"
CANCEL: Final = "cancel"
MOVE: Final = "move"
CHANGES: Final = frozenset({REVIEW, CANCEL, MOVE})
SHOW: Final = "show"
STATUS: Final = "status"
LIST: Final = "list"

API: Final = "api"
ORDER_WORKERS: Final = ("order-worker", "order-worker-2")
SHIPPING_WORKERS: Final = ("shipping-worker", "shipping-worker-2")
WORKERS: Final = (*ORDER_WORKERS, *SHIPPING_WORKERS)
POSTGRES: Final = "postgres"
TEMPORAL: Final = "temporal"
# All workers of a queue at once.
QUEUES: Final = {"orders-tq": ORDER_WORKERS, "shipping-tq": SHIPPING_WORKERS}
MACHINE: Final = "machine"


class Call(Struct, frozen=True, kw_only=True):
    """A request and its answer; status 0 is no answer. Times are seconds since the epoch."""

    order_id: str
    operation: str
    sent: float
    answered: float
    status: int = 0
    key: str = ""
    body: Any = None
    answer: Any = None
    media_type: str = ""
    retry_after: str = ""
    error: str = ""


class Row(Struct, frozen=True, kw_only=True):
    """A row of `orders`."""

    id: str
    payment_id: str
    amount: str
    currency: str
    state: str
    address: dict[str, Any]
    items: list[Any]
    event_count: int
    created: float


class EventLine(Struct, frozen=True, kw_only=True):
    """A row of `events`."""

    order_id: str
    number: int
    type: str
    key: str
    payload: dict[str, Any]
    at: float


class Payment(Struct, frozen=True, kw_only=True):
    """A row of `payments`."""

    payment_id: str
    order_id: str
    status: str


class LedgerCharge(Struct, frozen=True, kw_only=True):
    """A row of the payment gateway's ledger."""

    key: str
    order_id: str
    amount: str
    currency: str
    status: str


class LedgerShipment(Struct, frozen=True, kw_only=True):
    """A row of the carrier's ledger."""

    key: str
    order_id: str
    address: dict[str, Any]
    status: str


class QueuedChange(Struct, frozen=True, kw_only=True):
    """A row of `change_requests` that is left."""

    order_id: str
    event_key: str


class Run(Struct, frozen=True, kw_only=True):
    """A workflow run, as Temporal and its history have it."""

    workflow_id: str
    type: str
    status: str
    started: float
    closed: float | None = None
    result: Any = None
    recorded: bool = True
    """Whether the workflow knew that its end is in Postgres."""
    scheduled: list[str] = []
    """The types of the activities that it scheduled on a queue."""


class Absence(Struct, frozen=True, kw_only=True):
    """A time in which a process or its connections were away."""

    what: str
    since: float
    until: float
    how: str = ""


class Streamed(Struct, frozen=True, kw_only=True):
    """The events that a client got of one order's stream, over all its connections."""

    order_id: str
    events: list[tuple[int, str]]
    complete: bool
    """Whether the API said that no more follow."""


class ReplayFailure(Struct, frozen=True, kw_only=True):
    """A history that today's workflows do not replay."""

    workflow_id: str
    error: str


class Recording(Struct, frozen=True, kw_only=True):
    """All of a run."""

    seed: int = 0
    calls: list[Call] = []
    rows: list[Row] = []
    events: list[EventLine] = []
    payments: list[Payment] = []
    charges: list[LedgerCharge] = []
    shipments: list[LedgerShipment] = []
    queued: list[QueuedChange] = []
    runs: list[Run] = []
    absences: list[Absence] = []
    streams: list[Streamed] = []
    feed: list[tuple[str, int]] = []
    """Order id and number of each event of `GET /events`, in sequence."""
    replay_failures: list[ReplayFailure] = []


class Case(Struct, frozen=True, kw_only=True):
    """All that a recording has of one order."""

    order_id: str
    row: Row | None = None
    events: list[EventLine] = field(default_factory=list)
    payments: list[Payment] = field(default_factory=list)
    charges: list[LedgerCharge] = field(default_factory=list)
    shipments: list[LedgerShipment] = field(default_factory=list)
    queued: list[QueuedChange] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    streams: list[Streamed] = field(default_factory=list)
    feed: list[int] = field(default_factory=list)
    absences: list[Absence] = field(default_factory=list)
    replay_failures: list[ReplayFailure] = field(default_factory=list)
    rivals: dict[str, set[str]] = field(default_factory=dict)
    """For each payment id that this order came with, the other orders that have it."""

    @property
    def state(self) -> str:
        """The state of the row."""
        return "" if self.row is None else self.row.state

    @property
    def types(self) -> list[str]:
        """The types of the audit log's events."""
        return [event.type for event in self.events]

    @property
    def accepted(self) -> list[Call]:
        """The calls that were answered as an acceptance."""
        return [call for call in self.calls if call.operation == PLACE and call.status == 202]

    def by_key(self, key: str) -> EventLine | None:
        """Return the event under a key."""
        return next((event for event in self.events if event.key == key), None)


def cases(recording: Recording) -> list[Case]:
    """Return the orders of a recording, in the sequence of their first calls."""
    by: dict[str, dict[str, list[Any]]] = {
        "events": _by(sorted(recording.events, key=lambda event: event.number), _order_id),
        "payments": _by(recording.payments, _order_id),
        "charges": _by(recording.charges, _order_id),
        "shipments": _by(recording.shipments, _order_id),
        "queued": _by(recording.queued, _order_id),
        "calls": _by(recording.calls, _order_id),
        "streams": _by(recording.streams, _order_id),
        "runs": _by(recording.runs, lambda run: order_of(run.workflow_id)),
        "replay_failures": _by(
            recording.replay_failures, lambda failure: order_of(failure.workflow_id)
        ),
    }
    rows = {row.id: row for row in recording.rows}
    feed = defaultdict(list)
    for order_id, number in recording.feed:
        feed[order_id].append(number)
    payers = _payers(recording)
    ids = dict.fromkeys(
        [call.order_id for call in recording.calls if call.operation in {PLACE, *CHANGES}]
    )
    ids |= dict.fromkeys([*rows, *by["charges"], *by["shipments"]])
    return [
        Case(
            order_id=order_id,
            row=rows.get(order_id),
            feed=feed[order_id],
            absences=recording.absences,
            rivals={
                payment_id: payers[payment_id] - {order_id}
                for payment_id in _payments_of(rows.get(order_id), by["calls"][order_id])
            },
            **{name: of.get(order_id, []) for name, of in by.items()},
        )
        for order_id in ids
    ]


def _payers(recording: Recording) -> dict[str, set[str]]:
    """Return the orders that Postgres or Temporal may have had with each payment id."""
    payers: dict[str, set[str]] = defaultdict(set)
    for row in recording.rows:
        payers[row.payment_id].add(row.id)
    return payers


def _payments_of(row: Row | None, calls: list[Call]) -> set[str]:
    """Return the payment ids that an order came with; a refused one may come again with another."""
    bodies = [call.body for call in calls if call.operation == PLACE and call.body]
    placed = {str(body["payment_id"]) for body in bodies}
    return placed | ({row.payment_id} if row else set())


def _order_id(line: Any) -> str:
    return str(line.order_id)


def _by(lines: Iterable[T], key: Callable[[T], str]) -> dict[str, list[T]]:
    grouped: dict[str, list[T]] = defaultdict(list)
    for line in lines:
        grouped[key(line)].append(line)
    return grouped
