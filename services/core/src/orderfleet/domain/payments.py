"""The payment of an order."""

from enum import StrEnum


class PaymentStatus(StrEnum):
    """What is known of a payment: `pending` may or may not have been captured."""

    PENDING = "pending"
    CAPTURED = "captured"
    VOIDED = "voided"
    REFUNDED = "refunded"
