"""What admission costs an order at calm load: on and off by turns, on the same fleet."""

from collections import defaultdict
from dataclasses import dataclass
from itertools import chain
from typing import Final

from msgspec import Struct

from tests.bench.bench import Bench
from tests.bench.books import check_books
from tests.bench.overload.fleet import PART, peak_of, warm_fleet, warm_up
from tests.bench.spread import Spread, percentiles, ratio
from tests.bench.trial import GENERATOR, Phase, attempt

# Of P: at more of it, an order waits for the steps of others, on and off alike.
_CALM: Final = 0.3
_KINDS: Final = ("on", "off")


class CalmFigure(Struct, frozen=True):
    """CPU of an order and its acceptance, with admission on relative to off."""

    turns: int
    rate: float
    """Orders a second."""
    cpu_seconds: dict[str, list[float]]
    """Of an order, all processes but the generator, turn by turn."""
    api_cpu_seconds: dict[str, list[float]]
    cpu: Spread
    """The ratio, on to off."""
    accept: Spread
    """The same, of the 99th percentiles of acceptance: of all turns but one, each left out once.

    A percentile of one turn is that of its slowest order.
    """
    accept_seconds: dict[str, dict[str, float]]
    """Of all turns together."""
    orders: dict[str, int]


@dataclass(frozen=True)
class Calm:
    """0.3 P by turns; only the API is started anew."""

    rise: Phase
    turns: int
    seconds: float

    async def __call__(self, bench: Bench) -> None:
        cpu: dict[str, list[float]] = defaultdict(list)
        api: dict[str, list[float]] = defaultdict(list)
        accepts: dict[str, list[list[float]]] = defaultdict(list)
        rate = _CALM * await peak_of(bench, self.rise)
        async with warm_fleet(bench, "calm") as fleet:
            for turn in range(self.turns):
                # What drifts meets both alike: on, off, off, on.
                for kind in _KINDS if turn % 2 == 0 else _KINDS[::-1]:
                    await fleet.processes["api"].stop()
                    await fleet.processes["api"].start({"ORDERFLEET_ADMISSION": kind})
                    prefix = bench.prefix(f"calm {turn} {kind}")
                    await warm_up(fleet, f"{prefix}w")
                    phase = Phase(rate, self.seconds)
                    trial, placed, _ = await attempt(fleet, prefix, phase, bench.server.trees)
                    await check_books(fleet.database, fleet.client, prefix, placed.accepted)
                    used = trial.cpu_seconds
                    cpu[kind].append(sum(used.values()) - used[GENERATOR])
                    api[kind].append(used["api"])
                    accepts[kind].append([*placed.accepted.values()])
        figure = CalmFigure(
            turns=self.turns,
            rate=rate,
            cpu_seconds=cpu,
            api_cpu_seconds=api,
            cpu=ratio(cpu["on"], cpu["off"]),
            accept=ratio(*(_without_each(accepts[kind]) for kind in _KINDS)),
            accept_seconds={kind: percentiles([*chain(*accepts[kind])]) for kind in _KINDS},
            orders={kind: sum(map(len, accepts[kind])) for kind in _KINDS},
        )
        bench.results.add(PART, "calm", figure)


def _without_each(turns: list[list[float]]) -> list[float]:
    """Return the 99th percentile of all turns but one, for each that is left out."""
    return [
        percentiles([*chain(*turns[:left_out], *turns[left_out + 1 :])])["p99"]
        for left_out in range(len(turns))
    ]
