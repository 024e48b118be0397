"""A steady flow of orders, by the script that tests/cluster runs in a pod."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from orderfleet_cli.local import Fleet
from tests.e2e.support.orders import DEADLINE, ENDS
from tests.e2e.support.programs import run_program

# Orders a second.
RATE: Final = 3.0
_SCRIPT: Final = Path(__file__).parents[2] / "cluster/flow.py"
# The script waits 45 s for the end of an order.
_END_SECONDS: Final = 60.0


@dataclass
class Flow:
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


@asynccontextmanager
async def flow(fleet: Fleet, name: str) -> AsyncIterator[Flow]:
    """Place orders while the block runs; at its end wait for theirs."""
    stop = fleet.data / f"stop-{name}"
    env = {
        "API_HOST": fleet.api_url.removeprefix("http://"),
        "API_KEY": "",
        "PREFIX": name,
        "RATE": str(RATE),
        "SECONDS": "1",
        "STOP": str(stop),
        "REFUSABLE": "1",
    }
    placed = Flow()
    async with run_program("python", str(_SCRIPT), env=env) as program:
        yield placed
        stop.touch()
        assert await program.end(_END_SECONDS) == 0, program.lines
    placed.report = json.loads(program.lines[-1])
