"""What tests/cluster/flow.py reports of the orders that it placed."""

from dataclasses import dataclass, field
from typing import Any

from tests.e2e.support.orders import DEADLINE, ENDS


@dataclass(kw_only=True)
class FlowReport:
    """The orders of a flow; they are known at its end."""

    report: dict[str, Any] = field(default_factory=dict)

    @property
    def accepted(self) -> list[str]:
        return [order["id"] for order in self.report["orders"]]

    @property
    def open(self) -> list[str]:
        return [order["id"] for order in self.report["orders"] if order["state"] not in ENDS]

    @property
    def late(self) -> dict[str, float]:
        """The orders that ended after their deadline, and the seconds that they took."""
        return {
            order["id"]: order["took"]
            for order in self.report["orders"]
            if order["took"] > DEADLINE
        }

    @property
    def hurt(self) -> set[str]:
        """The orders that were not fulfilled, or late."""
        unfulfilled = {
            order["id"] for order in self.report["orders"] if order["state"] != "fulfilled"
        }
        return unfulfilled | set(self.late)
