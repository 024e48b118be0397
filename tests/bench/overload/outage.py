"""An outage of Temporal or of Postgres under 0.7 P: a server is killed, and started after 30 s."""

import asyncio
import signal
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Literal

from msgspec import Struct

from orderfleet_cli.errors import CommandError
from orderfleet_cli.local.processes import Process
from tests.bench.bench import Bench
from tests.bench.overload.figures import LoadFigure, Second, load_figure, timeline
from tests.bench.overload.fleet import PART, numbered, peak_of, settle, soon, warm_fleet
from tests.bench.overload.loads import BELOW
from tests.bench.overload.offer import Client, Step, offer
from tests.bench.overload.outcomes import Outcome
from tests.bench.overload.watch import watch_api
from tests.bench.trial import Phase

_BEFORE_SECONDS: Final = 15.0
_AWAY_SECONDS: Final = 30.0
_AFTER_SECONDS: Final = 30.0
# The load ends by itself if the server does not come back.
_LONGEST_SECONDS: Final = 180.0


class Return(Struct, frozen=True):
    """What became of the orders once the server was back."""

    first_fulfilled: float | None
    """Seconds from the return to the first end of an order that was fulfilled in time."""
    accepted: int
    """Orders whose workflow started after the return."""
    late: int
    """Those of them that did not end in time by the fleet."""


class OutageFigure(Struct, frozen=True):
    """An outage, and a load of 0.7 P before, in and after it."""

    away: tuple[float, float]
    """From when to when the server was away, in seconds of the load."""
    returned: Return
    load: LoadFigure
    timeline: list[Second]
    gauges: list[dict[str, float]]
    """Of admission, each second."""


@dataclass(frozen=True)
class Outage:
    """Kill a server, start it after 30 s, and go on until its return is 30 s ago.

    Temporal keeps its data in the same Postgres, so an outage of Postgres is one of both.
    """

    rise: Phase
    of: Literal["Temporal", "Postgres"]

    async def __call__(self, bench: Bench) -> None:
        process = bench.server.postgres.process if self.of == "Postgres" else bench.server.temporal
        if process is None:
            raise CommandError("the Temporal at TEMPORAL_ADDRESS is not the benchmark's to kill")
        step = Step(BELOW * await peak_of(bench, self.rise), _LONGEST_SECONDS)
        name = f"outage of {self.of}"
        async with warm_fleet(bench, name) as fleet:
            prefix, began, stop = bench.prefix(name), soon(), asyncio.Event()
            client = Client(fleet.http.port)
            async with watch_api(fleet) as watched:
                offered = offer(numbered(prefix), [step], client.place, began, stop)
                load = asyncio.create_task(offered)
                killed, back = await _outage(process)
                await asyncio.sleep(_AFTER_SECONDS)
                stop.set()
                until = time.time()
                sent = await load
            client.close()
            ends = await settle(fleet, prefix, sent)
        figure = OutageFigure(
            away=(killed - began, back - began),
            returned=after_return(back, ends.values()),
            load=load_figure(step.rate, (began, until), sent, ends),
            timeline=timeline(sent, ends),
            gauges=watched.gauges,
        )
        bench.results.add(PART, name, figure)


async def _outage(process: Process) -> tuple[float, float]:
    """Return when the server was killed, and when it answered again."""
    await asyncio.sleep(_BEFORE_SECONDS)
    killed = time.time()
    await process.stop(signal.SIGKILL)
    await asyncio.sleep(killed + _AWAY_SECONDS - time.time())
    await process.start()
    return killed, time.time()


def after_return(back: float, ends: Collection[Outcome]) -> Return:
    """Return what became of the orders once the server was back."""
    fulfilled = [
        one.ended - back
        for one in ends
        if one.fulfilled_in_time and one.ended is not None and one.ended >= back
    ]
    accepted = [one for one in ends if one.started >= back]
    return Return(
        min(fulfilled, default=None), len(accepted), sum(not one.in_time for one in accepted)
    )
