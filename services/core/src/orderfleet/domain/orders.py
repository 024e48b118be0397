"""The order: its data, its bounds and the graph of its states.

The bounds are part of the types, so that the API, a workflow started by Temporal's own CLI and the
OpenAPI schema have the same rules. `Order` and its parts are what any release has accepted: they
read histories and rows. `NewOrder` and its parts are what this release accepts.
"""

import hashlib
import re
from collections.abc import Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct, field

from orderfleet.domain.currencies import CURRENCIES, is_payable
from orderfleet.domain.text import OptionalText, Text, check_texts

# In Python `$` also matches before a final newline, in ECMAScript it does not. With the lookahead,
# legal in an OpenAPI pattern, both match the end only.
_END: Final = r"$(?!\n)"
_PRINTABLE: Final = r"^[^\x00-\x1f\x7f-\x9f]*" + _END

ID_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}" + _END
OrderId = Annotated[
    str,
    Meta(
        pattern=ID_PATTERN,
        max_length=64,
        description="Chosen by the caller; it is the workflow id too.",
        examples=["order-1"],
    ),
]
PaymentId = Annotated[
    str,
    Meta(
        pattern=ID_PATTERN,
        max_length=64,
        description="The gateway's idempotency key: one payment pays for one order.",
        examples=["payment-1"],
    ),
]
Money = Annotated[
    str,
    Meta(
        pattern=r"^(0|[1-9][0-9]{0,8})(\.[0-9]{1,2})?" + _END,
        max_length=12,
        description="A decimal string, two places at the most.",
        examples=["1.00"],
    ),
]
# The largest order, 100 items, 1000 of each, at 999999999.99, has 14 digits before the point; so
# has the column.
Amount = Annotated[
    str,
    Meta(
        pattern=r"^[0-9]{1,14}\.[0-9]{2}" + _END,
        description="A sum as a decimal string.",
        examples=["1.00"],
    ),
]
Currency = Annotated[
    str, Meta(pattern=r"^[A-Z]{3}" + _END, description="ISO 4217 code.", examples=["USD"])
]
Line = Annotated[str, Meta(min_length=1, max_length=200, pattern=_PRINTABLE)]
OptionalLine = Annotated[str, Meta(max_length=200, pattern=_PRINTABLE)]


NewCurrency = Annotated[
    str,
    Meta(
        pattern=rf"^(?:{'|'.join(sorted(CURRENCIES))})" + _END,
        description="ISO 4217 code of a currency that one can pay with.",
        examples=["USD"],
    ),
]


class Address(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Where the package goes. Only street and city are required."""

    street: Line
    city: Line
    name: OptionalLine = ""
    region: OptionalLine = ""
    postal_code: OptionalLine = ""
    country: OptionalLine = ""


class NewAddress(Address, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Where the package goes. Only street and city are required."""

    street: Text
    city: Text
    name: OptionalText = ""
    region: OptionalText = ""
    postal_code: OptionalText = ""
    country: OptionalText = ""


class Item(Struct, frozen=True, forbid_unknown_fields=True):
    """One line of an order."""

    sku: Line
    quantity: Annotated[int, Meta(ge=1, le=1000)] = 1
    price: Annotated[Money, Meta(description="Price of one piece, a decimal string.")] = "1.00"


class NewItem(Item, frozen=True, forbid_unknown_fields=True):
    """One line of an order."""

    sku: Text
    quantity: Annotated[int, Meta(ge=1, le=1000)] = 1
    price: Annotated[
        Money,
        Meta(description="Price of one piece, a decimal string; without a fraction in JPY."),
    ] = "1.00"


_ITEMS: Final = Meta(
    max_length=100, description="One ABC at 1.00 by default; an empty list is rejected."
)


def default_items() -> list["NewItem"]:
    """Return the items of an order that names none."""
    return [NewItem(sku="ABC")]


class Order(Struct, frozen=True, kw_only=True):
    """What a customer orders; `OrderInput` and the API's request body extend it."""

    payment_id: PaymentId
    address: Address
    items: Annotated[Sequence[Item], _ITEMS] = field(default_factory=default_items)
    currency: Currency = "USD"

    @property
    def amount(self) -> str:
        """Return the sum to charge as a decimal string with two places."""
        total = sum((Decimal(item.price) * item.quantity for item in self.items), Decimal(0))
        return str(total.quantize(Decimal("0.01")))

    @property
    def contents(self) -> dict[str, Any]:
        """Return the fields of the order, without those that a subclass adds."""
        return {name: getattr(self, name) for name in Order.__struct_fields__}

    @property
    def fingerprint(self) -> str:
        """Return a digest of the contents: orders with the same digest are the same order."""
        contents = list(self.contents.values())
        return hashlib.sha256(msgspec.json.encode(contents)).hexdigest()


class NewOrder(Order, frozen=True, kw_only=True):
    """An order as this release accepts it."""

    address: NewAddress
    items: Annotated[Sequence[NewItem], _ITEMS] = field(default_factory=default_items)
    currency: NewCurrency = "USD"

    def __post_init__(self) -> None:
        check_order(self)


def check_order(order: Order) -> None:
    """Check what the types of `NewOrder` cannot express, and those of `Order` do not.

    Raises:
        ValueError: this release would not accept the order; the message says why and where.
    """
    check_texts(order)
    if order.currency not in CURRENCIES:
        raise ValueError("Expected a currency of ISO 4217 - at `$.currency`")
    for index, item in enumerate(order.items):
        if not is_payable(item.price, order.currency):
            where = f"$.items[{index}].price"
            raise ValueError(f"Expected whole {order.currency}, it has no parts - at `{where}`")


class OrderState(StrEnum):
    """The states of an order; the last five are its ends."""

    RECEIVED = "received"
    IN_REVIEW = "in_review"
    CHARGING = "charging"
    CHARGED = "charged"
    SHIPPING = "shipping"
    DISPATCHING = "dispatching"
    FULFILLED = "fulfilled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    FAILED = "failed"
    TIMED_OUT = "timed_out"

    @property
    def ended(self) -> bool:
        """Whether no state follows this one."""
        return not TRANSITIONS[self]


_GIVE_UP: Final = frozenset({OrderState.FAILED, OrderState.TIMED_OUT})
_CALL_OFF: Final = _GIVE_UP | {OrderState.CANCELLED}

TRANSITIONS: Final[dict[OrderState, frozenset[OrderState]]] = {
    OrderState.RECEIVED: _CALL_OFF | {OrderState.IN_REVIEW, OrderState.REJECTED},
    OrderState.IN_REVIEW: _CALL_OFF | {OrderState.CHARGING, OrderState.REJECTED},
    OrderState.CHARGING: _CALL_OFF | {OrderState.CHARGED},
    OrderState.CHARGED: _CALL_OFF | {OrderState.SHIPPING},
    OrderState.SHIPPING: _CALL_OFF | {OrderState.DISPATCHING},
    # No edge to `cancelled`: the claim `shipping -> dispatching` is the point of no return.
    OrderState.DISPATCHING: _GIVE_UP | {OrderState.FULFILLED, OrderState.SHIPPING},
    OrderState.FULFILLED: frozenset(),
    OrderState.CANCELLED: frozenset(),
    OrderState.REJECTED: frozenset(),
    OrderState.FAILED: frozenset(),
    OrderState.TIMED_OUT: frozenset(),
}
OPEN_STATES: Final = frozenset(state for state, following in TRANSITIONS.items() if following)
# After these ends the payment is undone and the package is called back.
UNDONE_ENDS: Final = frozenset(TRANSITIONS) - OPEN_STATES - {OrderState.FULFILLED}
# The address can be changed until the dispatch's claim reads it.
ADDRESS_OPEN_STATES: Final = OPEN_STATES - {OrderState.DISPATCHING}


def states_before(state: OrderState) -> frozenset[OrderState]:
    """Return the states that have an edge to `state`."""
    return frozenset(before for before, following in TRANSITIONS.items() if state in following)


def is_order_id(text: str) -> bool:
    """Return whether a text, e.g. a workflow's id, is a valid order id."""
    return re.match(ID_PATTERN, text) is not None


def undoable(state: OrderState) -> None:
    """Check that an order in this state is to be undone.

    Raises:
        ValueError: the state is no end, or it is `fulfilled`.
    """
    if state not in UNDONE_ENDS:
        raise ValueError(f"{state} is not undone, only {', '.join(sorted(UNDONE_ENDS))}")
