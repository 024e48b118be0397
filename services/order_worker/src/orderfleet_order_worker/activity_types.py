"""The inputs and results of the order worker's activities, as workflow histories have them."""

from typing import Any, Final

from msgspec import Struct

from orderfleet.domain.contract import AddressChange, Cancel, OrderInput, Review
from orderfleet.domain.events import Event
from orderfleet.domain.orders import OrderState, undoable
from orderfleet.domain.payments import PaymentStatus
from orderfleet.temporal.attempts import StepResult

# Result of a refund that leaves a fulfilled order alone.
KEPT: Final = "kept: the order is fulfilled"


class ReceiveResult(StepResult, frozen=True, kw_only=True):
    """Result of `receive`: brings the worker's own settings into the workflow's history."""

    shipping_task_queue: str


class ValidateResult(StepResult, frozen=True, kw_only=True):
    """Result of `validate`: why the order is rejected, or an empty string."""

    problem: str = ""


class ReceiveInput(Struct, frozen=True):
    """Input of `receive` and `validate`."""

    order_id: str
    order: OrderInput


class ChargeInput(Struct, frozen=True):
    """Input of `charge`, whose first statement writes the review's outcome."""

    order_id: str
    payment_id: str
    review: dict[str, Any]


class EndInput(Struct, frozen=True):
    """Input of `end`: the end to write, unless the order has one.

    Attributes:
        order_id: the order.
        state: the end.
        reason: why the order ends.
        events: events that are not written yet.
        charged: a charge was possible; a payment without a row is one whose row was lost.

    Raises:
        ValueError: the state is no end, or it is `fulfilled`, which only the dispatch writes.
    """

    order_id: str
    state: OrderState
    reason: str
    events: list[Event] = []
    charged: bool = False

    def __post_init__(self) -> None:
        undoable(self.state)


class EndResult(Struct, frozen=True):
    """Result of `end`: the end that stands, and what there is to undo.

    Packages are recalled through the worker's own shipping queue, not through the queue in the
    refund's input: a worker of another fleet has no such order, and would report no package.
    """

    state: OrderState
    payment: PaymentStatus | None = None
    recall: bool = False
    recorded: bool = True
    shipping_task_queue: str = ""

    @property
    def undo(self) -> bool:
        """Whether an unfulfilled order may have been charged or shipped."""
        owed = self.payment in {PaymentStatus.PENDING, PaymentStatus.CAPTURED}
        return self.state is not OrderState.FULFILLED and (owed or self.recall)


class NoteInput(Struct, frozen=True):
    """Input of `note`."""

    order_id: str
    event: Event


class CancelInput(Struct, frozen=True):
    """Input of `cancel`."""

    order_id: str
    change: Cancel


class AddressInput(Struct, frozen=True):
    """Input of `change_address`."""

    order_id: str
    change: AddressChange


class ReviewInput(Struct, frozen=True):
    """Input of `review`: the decision as received, and with an id for the key of a refusal."""

    order_id: str
    change: Review
    named: Review


class RefundPaymentInput(Struct, frozen=True):
    """Input of `refund`; `charged` is that of `EndInput`."""

    order_id: str
    payment_id: str
    charged: bool = False
