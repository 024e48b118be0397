"""What the API takes and the workflows are given: dataclasses, which FastAPI checks."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated

from pydantic import Field

ORDERS_QUEUE = "orders-tq"
SHIPPING_QUEUE = "shipping-tq"

Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Line = Annotated[str, Field(min_length=1, max_length=200)]
OptionalLine = Annotated[str, Field(max_length=200)]


@dataclass
class Address:
    street: Line
    city: Line
    name: OptionalLine = ""
    region: OptionalLine = ""
    postal_code: OptionalLine = ""
    country: OptionalLine = ""


@dataclass
class Item:
    sku: Line
    quantity: Annotated[int, Field(ge=1, le=1000)] = 1
    price: Annotated[str, Field(pattern=r"^(0|[1-9][0-9]{0,8})(\.[0-9]{1,2})?$")] = "1.00"


@dataclass
class Order:
    """Body of `POST /orders/{id}/start`: one ABC at 1.00 if nothing is said."""

    payment_id: Id
    address: Address
    items: Annotated[list[Item], Field(max_length=100)] = field(
        default_factory=lambda: [Item("ABC")]
    )
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] = "USD"

    @property
    def amount(self) -> Decimal:
        """Return the sum to charge."""
        return sum((Decimal(item.price) * item.quantity for item in self.items), Decimal(0))


@dataclass
class OrderInput:
    order_id: str
    order: Order
    review_seconds: float


@dataclass
class ShippingInput:
    order_id: str
    address: Address
