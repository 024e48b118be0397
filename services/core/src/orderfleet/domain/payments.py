"""The payment of an order."""

from enum import StrEnum


class PaymentStatus(StrEnum):
    """The status of a payment; a `pending` payment may or may not have been captured."""

    PENDING = "pending"
    CAPTURED = "captured"
    VOIDED = "voided"
    REFUNDED = "refunded"
