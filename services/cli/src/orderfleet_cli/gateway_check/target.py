"""What is checked."""

from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """What a gateway does."""

    PAYMENT = "payment"
    CARRIER = "carrier"


class Target(NamedTuple):
    """A gateway, and how to check it."""

    url: str
    credentials: str = ""
    """A directory, as a worker's settings name it."""
    restart: str = ""
    """A command that restarts the gateway."""
    amount: str = "1.00"
    currency: str = "USD"
