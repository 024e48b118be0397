"""What the API is like while it is under a load: its memory, and its gauges of admission."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from msgspec import Struct

from tests.bench.http import Connections
from tests.bench.subjects.orderfleet import Orderfleet

_LOOK_SECONDS: Final = 1.0
_GAUGE: Final = "orderfleet_admission_"


class Watched(Struct):
    """The API, second by second, from before the load until its orders have ended."""

    memory: list[int] = []
    """Resident, in bytes."""
    gauges: list[dict[str, float]] = []
    """Of admission, by name without `orderfleet_admission_`."""


@asynccontextmanager
async def watch_api(fleet: Orderfleet) -> AsyncIterator[Watched]:
    """Look at the API once a second while the block runs."""
    watched = Watched()
    probes = Connections(int(fleet.processes["api"].program.env["ORDERFLEET_PROBE_PORT"]))

    async def look() -> None:
        while True:
            watched.memory.append(_resident(fleet))
            with suppress(OSError, EOFError):
                answer = await probes.ask("GET", "/metrics")
                watched.gauges.append(admission_gauges(answer.body.decode()))
            await asyncio.sleep(_LOOK_SECONDS)

    watching = asyncio.create_task(look())
    try:
        yield watched
    finally:
        watching.cancel()
        probes.close()
    watched.memory.append(_resident(fleet))


def admission_gauges(metrics: str) -> dict[str, float]:
    """Return the gauges without labels in Prometheus' text format."""
    lines = (line.split(" ") for line in metrics.splitlines() if line.startswith(_GAUGE))
    return {name.removeprefix(_GAUGE): float(value) for name, value, *_ in lines if "{" not in name}


def _resident(fleet: Orderfleet) -> int:
    return sum(process.memory_info().rss for process in fleet.trees["api"].processes())
