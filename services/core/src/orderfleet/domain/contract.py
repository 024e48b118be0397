"""The contract between the services: names, workflow inputs, signals, updates, query results.

Services know each other only through this module. All values travel as plain JSON, which
Temporal's own CLI and UI can read and send.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final, TypeAlias

from msgspec import Meta, Struct, field
from temporalio.common import SearchAttributeKey

from orderfleet.domain.orders import Address, Order, OrderId, OrderState, PaymentId, undoable
from orderfleet.domain.text import MAX_PRINTABLE

ORDER_WORKFLOW: Final = "OrderWorkflow"
SHIPPING_WORKFLOW: Final = "ShippingWorkflow"
REFUND_WORKFLOW: Final = "RefundWorkflow"
RECONCILE_WORKFLOW: Final = "ReconcileOrders"
RECONCILE_SCHEDULE: Final = "reconcile-orders"
FORGET_WORKFLOW: Final = "ForgetWorkflow"

CANCEL_SIGNAL: Final = "CancelOrder"
ADDRESS_SIGNAL: Final = "UpdateAddress"
DISPATCH_FAILED_SIGNAL: Final = "DispatchFailed"

CANCEL_UPDATE: Final = "cancel"
ADDRESS_UPDATE: Final = "update_address"
REVIEW_UPDATE: Final = "review"

ORDER_TASK_QUEUE: Final = "orders-tq"
SHIPPING_TASK_QUEUE: Final = "shipping-tq"

STATUS_QUERY: Final = "status"

# The only activity that another service calls: the shipping worker, beside the carrier, runs it.
RECALL_ACTIVITY: Final = "recall"

# The types of failures: activities, updates and workflows fail with them.
INVALID_PAYLOAD: Final = "InvalidPayload"
# The name of the error, which any worker may report that lacks a key.
PAYLOAD_KEY_MISSING: Final = "PayloadKeyError"
TOO_LATE: Final = "TooLate"
TOO_MANY_CHANGES: Final = "TooManyChanges"
OTHER_CHANGE: Final = "OtherChange"
ORDER_CLOSED: Final = "OrderClosed"
# The carrier refused for good: it has no package, and its key is closed.
CARRIER_REFUSED: Final = "CarrierRefused"
PAYMENT_DECLINED: Final = "PaymentDeclined"
# The payment id pays for another order.
PAYMENT_CONFLICT: Final = "PaymentConflict"
REVIEW_REJECTED: Final = "ReviewRejected"
# Another order has this id.
ORDER_CONFLICT: Final = "OrderConflict"
# The order is unknown, open, or its money is not back.
NOT_FORGETTABLE: Final = "NotForgettable"
# A workflow of the order runs.
ORDER_BUSY: Final = "OrderBusy"
# The order has no row yet.
ORDER_UNKNOWN: Final = "OrderUnknown"
_OLD_FAILURES: Final = {
    "payment_declined": PAYMENT_DECLINED,
    "payment_conflict": PAYMENT_CONFLICT,
    "review_rejected": REVIEW_REJECTED,
}

# Why an order whose payment id pays for another order is rejected.
PAYMENT_CONFLICT_REASON: Final = "payment_conflict"

# The only search attribute; a namespace must have it.
ORDER_STATE: Final = SearchAttributeKey.for_keyword("OrderState")
# Its values beside the end states: written at the start, and by a workflow that could not write
# its end to Postgres. ReconcileOrders searches for both.
OPEN: Final = "open"
UNRECORDED: Final = "unrecorded"

CHANGE_ID_PATTERN: Final = r"^[\x21-\x7e]+$(?!\n)"
ChangeId = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=128,
        pattern=CHANGE_ID_PATTERN,
        description="Names one change; the same id is applied once, however often it comes.",
    ),
]
Reason = Annotated[str, Meta(max_length=MAX_PRINTABLE, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$(?!\n)")]


class StepName(StrEnum):
    """The steps of an order, as the query `status` names them; activities have these names too."""

    RECEIVE = "receive"
    VALIDATE = "validate"
    REVIEW = "review"
    CHARGE = "charge"
    SHIP = "ship"
    PREPARE = "prepare"
    DISPATCH = "dispatch"
    END = "end"


class StepStatus(Struct):
    """The attempts of a step, and their errors."""

    attempts: int = 0
    errors: list[str] = field(default_factory=list)
    last_error: str = ""

    def add(self, more: "StepStatus") -> None:
        """Add later attempts."""
        self.attempts += more.attempts
        self.errors.extend(more.errors)
        self.last_error = more.last_error or self.last_error


class OrderInput(Order, frozen=True, kw_only=True):
    """Input of `OrderWorkflow`; the workflow's id is the order's id."""

    deadline_seconds: Annotated[float, Meta(ge=1, le=3600)] = 15.0
    review_seconds: Annotated[float, Meta(ge=0, le=3600)] = 2.0
    actor: Reason = ""


class OrderResult(Struct, frozen=True):
    """Result of `OrderWorkflow`: the workflow completes in all five ends."""

    order_id: str
    state: OrderState
    reason: str = ""


class ShippingInput(Struct, frozen=True, kw_only=True):
    """Input of `ShippingWorkflow`; each shipping attempt is a run.

    Attributes:
        order_id: the order.
        attempt: of shipping.
        retried: an attempt of an earlier step failed; without a retry the order would have.
        until: the end of the order's forward time. The run's own time limit counts from the run's
            start, which a busy server delays by seconds.
    """

    order_id: OrderId
    attempt: Annotated[int, Meta(ge=1)] = 1
    retried: bool = False
    until: datetime | None = None


class ShippingResult(Struct, frozen=True):
    """Result of `ShippingWorkflow`: `state` is the order's state after the dispatch."""

    state: OrderState
    tracking: str = ""
    steps: dict[str, StepStatus] = field(default_factory=dict)


class RefundInput(Struct, frozen=True, kw_only=True):
    """Input of `RefundWorkflow`: the end to write, and the payment to undo.

    Raises:
        ValueError: the state is no end, or an end that is not undone. In a payload, such a state
            fails the workflow at once.
    """

    order_id: OrderId
    payment_id: PaymentId
    state: OrderState
    reason: Reason = ""
    shipping_task_queue: Annotated[str, Meta(min_length=1, max_length=1000)] = SHIPPING_TASK_QUEUE

    def __post_init__(self) -> None:
        undoable(self.state)


class RefundResult(Struct, frozen=True):
    """Result of `RefundWorkflow`: the payment's final status, or why nothing was undone."""

    payment: str
    recalled: bool = False


class ForgetInput(Struct, frozen=True):
    """Input of `ForgetWorkflow`: no more than the id, which its own history keeps."""

    order_id: Annotated[str, Meta(min_length=1, max_length=1000)]


class ForgetStep(StrEnum):
    """The steps of `ForgetWorkflow`, as its query `status` names them."""

    ROWS = "rows"
    HISTORIES = "histories"
    DONE = "done"


class ForgetResult(Struct, frozen=True):
    """Result of `ForgetWorkflow`: whether it was the first one, and how many runs Temporal had."""

    order_id: str
    first: bool
    histories: int


class RecallInput(Struct, frozen=True):
    """Input of the activity `recall`.

    `keys` are further keys that the carrier may have in use. `keep_taken`: after a restore, a
    package that the carrier has is the last that is known of its order, which is then fulfilled.
    """

    order_id: OrderId
    keys: list[str] = []
    keep_taken: bool = False


class Cancel(Struct, frozen=True):
    """Signal `CancelOrder` and update `cancel`."""

    change_id: ChangeId | None = None
    reason: Reason = ""
    actor: Reason = ""


class AddressChange(Struct, frozen=True):
    """Signal `UpdateAddress` and update `update_address`."""

    address: Address
    change_id: ChangeId | None = None
    actor: Reason = ""


class Review(Struct, frozen=True):
    """Update `review`: a person's decision, before the review's timer fires."""

    approved: bool
    reviewer: Reason = ""
    reason: Reason = ""
    change_id: ChangeId | None = None
    actor: Reason = ""


class DispatchFailed(Struct, frozen=True):
    """Signal `DispatchFailed`, from child to parent: which shipping attempt failed, and why."""

    attempt: Annotated[int, Meta(ge=1)]
    reason: Annotated[str, Meta(max_length=2000)]
    steps: Annotated[dict[str, StepStatus], Meta(max_length=10)] = field(default_factory=dict)


Change: TypeAlias = Cancel | AddressChange | Review


class ChangeResult(Struct, frozen=True):
    """Answer to an applied update.

    An update that comes too late fails with type `TooLate`, with the id of another change of the
    same actor with `OtherChange`, beyond the limit of changes with `TooManyChanges`.
    """

    change_id: str
    state: OrderState


class ChangeOutcome(Struct, frozen=True):
    """Result of the activities `cancel`, `change_address` and `review`.

    Attributes:
        applied: the change stands, by this attempt or an earlier one.
        state: the order's state.
        reason: why the change was refused.
    """

    applied: bool
    state: OrderState
    reason: str = ""


class Status(Struct, kw_only=True):
    """Answer to the query `status`: the live view of an order."""

    order_id: str
    state: OrderState
    step: str
    address: Address | None
    steps: dict[str, StepStatus]
    shipping_attempts: int
    errors: list[str]
    seconds_left: float
    reason: str = ""
    refund_started: bool = False


def failure_type(stored: str | None) -> str | None:
    """Return a failure's type, which older histories and workers may spell in another way."""
    return None if stored is None else _OLD_FAILURES.get(stored, stored)


def shipping_id(order_id: str, attempt: int) -> str:
    """Return the workflow id of a shipping attempt."""
    return f"{order_id}/shipping/{attempt}"


def carrier_key(order_id: str, attempt: int) -> str:
    """Return the carrier's key of a shipping attempt."""
    return f"{order_id}/{attempt}"


def refund_id(order_id: str) -> str:
    """Return the workflow id of an order's refund."""
    return f"{order_id}/refund"


def forget_id(order_id: str) -> str:
    """Return the id of the workflow that forgets an order."""
    return f"{order_id}/forget"


def order_of(workflow_id: str) -> str:
    """Return the order's id from the id of any workflow that works for the order."""
    return workflow_id.split("/", 1)[0]


def reconcile_schedule(order_task_queue: str) -> str:
    """Return the id of a fleet's schedule; fleets of one namespace have schedules of their own."""
    if order_task_queue == ORDER_TASK_QUEUE:
        return RECONCILE_SCHEDULE
    return f"{RECONCILE_SCHEDULE}-{order_task_queue}"
