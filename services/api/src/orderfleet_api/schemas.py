"""Bodies of requests and answers."""

from datetime import datetime
from typing import Annotated, Any, Final, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from orderfleet.domain.contract import Status
from orderfleet.domain.orders import Amount, Currency, Item, NewAddress, NewOrder, OrderState
from orderfleet.domain.roles import Role
from orderfleet.domain.text import Explanation
from orderfleet.store.queries import EventRow, OrderSummary, PaymentRow

APPLIED: Final = "applied"
QUEUED: Final = "queued"


class OrderRequest(NewOrder, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /orders/{id}/start`. Items default to one `ABC` at 1.00."""


class CancelRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Body of a cancel; it may be left out."""

    reason: Explanation = ""


class AddressRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Body of a change of address."""

    address: NewAddress


class ReviewRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Body of a review."""

    approved: bool
    reviewer: Explanation = ""
    reason: Explanation = ""


class OrderList(Struct, frozen=True):
    """A page of orders, and the cursor of the next page, if there is one."""

    orders: list[OrderSummary]
    next: str | None = None


class FieldError(Struct, frozen=True):
    """What is wrong with a value, and where it is."""

    pointer: str
    detail: str


class Problem(Struct, frozen=True):
    """An error (RFC 9457)."""

    status: int
    title: str
    detail: str
    type: str = "about:blank"
    errors: list[FieldError] = []


class Forbidden(Problem, frozen=True):
    """A request that its caller may not make; with an API key, `role` is the one that it lacks."""

    role: Role | UnsetType = UNSET


class OrderRefused(Problem, frozen=True):
    """An order that is not accepted now; without a reason, the API itself is full or stops."""

    reason: Literal["busy", "share", "rate", "away"] | UnsetType = UNSET


class Accepted(Struct, frozen=True):
    """An order that was accepted, now or before."""

    order_id: str
    state: OrderState


class ChangeView(Struct, frozen=True):
    """A change that took effect, or (202) that is queued for the next worker."""

    order_id: str
    change_id: str
    outcome: Literal["applied", "queued"]
    state: OrderState | None = None


class StatusView(Status, kw_only=True):
    """The status of an order, and its source: the workflow, or the record in Postgres."""

    source: Literal["workflow", "record"]


class Caller(Struct, frozen=True):
    """Who the caller is, what it may do, and how many seconds an order has."""

    name: Annotated[str, Meta(description="Of its API key; empty where no key is required.")]
    roles: list[Role]
    order_deadline_seconds: float


class OrderLinks(Struct, frozen=True):
    """Where else an order can be seen; null without a workflow, a trace or the setting."""

    temporal_ui: str | None = None
    trace: str | None = None


class OrderView(Struct, frozen=True):
    """An order as Postgres has it, with its payments and its audit trail."""

    id: str
    payment_id: str
    amount: Amount
    currency: Currency
    state: OrderState
    address: dict[str, Any]
    items: list[Item]
    created_at: datetime
    updated_at: datetime
    payments: list[PaymentRow]
    events: list[EventRow]
