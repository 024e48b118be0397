"""What every subject of the benchmark has."""

from collections.abc import Mapping
from typing import Final, Protocol

from msgspec import Struct

from tests.bench.usage import Tree

DEADLINE_SECONDS: Final = 15.0


class End(Struct, frozen=True):
    """How an order ended, and when, in seconds since the epoch."""

    at: float
    fulfilled: bool


class Subject(Protocol):
    """One way to fulfil orders, running."""

    @property
    def trees(self) -> Mapping[str, Tree]:
        """Its processes, by name."""

    async def place(self, order_id: str) -> None:
        """Place an order and return when it is accepted."""

    async def missed(self, prefix: str) -> int:
        """Return how many of the orders with this prefix have missed their end so far."""

    async def ends(self, prefix: str) -> dict[str, End]:
        """Return the ends of the orders with this prefix that have ended."""
