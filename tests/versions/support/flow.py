"""A steady flow of orders, by the script that tests/cluster runs in a pod."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from orderfleet_cli.local import Fleet
from tests.e2e.support.programs import run_program
from tests.support.flow_report import FlowReport

# Orders a second.
RATE: Final = 3.0
_SCRIPT: Final = Path(__file__).parents[2] / "cluster/flow.py"
# The script waits 45 s for the end of an order.
_END_SECONDS: Final = 60.0


@asynccontextmanager
async def flow(fleet: Fleet, name: str) -> AsyncIterator[FlowReport]:
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
    placed = FlowReport()
    async with run_program("python", str(_SCRIPT), env=env) as program:
        yield placed
        stop.touch()
        assert await program.end(_END_SECONDS) == 0, program.lines
    placed.report = json.loads(program.lines[-1])
