"""What admission costs an order at calm load: on and off by turns, on the same fleet."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Final

from msgspec import Struct

from tests.bench.bench import Bench
from tests.bench.books import check_books
from tests.bench.overload.fleet import PART, warm_fleet, warm_up
from tests.bench.spread import Spread, percentiles, ratio
from tests.bench.trial import GENERATOR, Phase, attempt

_PER_SECOND: Final = 5.0
_KINDS: Final = ("on", "off")


class CalmFigure(Struct, frozen=True):
    """CPU of an order and its acceptance, with admission on relative to off."""

    turns: int
    cpu_seconds: dict[str, list[float]]
    """Of an order, all processes but the generator, turn by turn."""
    api_cpu_seconds: dict[str, list[float]]
    cpu: Spread
    """The ratio, on to off."""
    accept_seconds: dict[str, dict[str, float]]
    """Of all turns together."""
    orders: dict[str, int]


@dataclass(frozen=True)
class Calm:
    """5 orders a second by turns; only the API is started anew."""

    turns: int
    seconds: float

    async def __call__(self, bench: Bench) -> None:
        cpu: dict[str, list[float]] = defaultdict(list)
        api: dict[str, list[float]] = defaultdict(list)
        accepts: dict[str, list[float]] = defaultdict(list)
        async with warm_fleet(bench, "calm") as fleet:
            for turn in range(self.turns):
                # What drifts meets both alike: on, off, off, on.
                for kind in _KINDS if turn % 2 == 0 else _KINDS[::-1]:
                    await fleet.processes["api"].stop()
                    await fleet.processes["api"].start({"ORDERFLEET_ADMISSION": kind})
                    prefix = bench.prefix(f"calm {turn} {kind}")
                    await warm_up(fleet, f"{prefix}w")
                    phase = Phase(_PER_SECOND, self.seconds)
                    trial, placed, _ = await attempt(fleet, prefix, phase, bench.server.trees)
                    await check_books(fleet.database, fleet.client, prefix, placed.accepted)
                    used = trial.cpu_seconds
                    cpu[kind].append(sum(used.values()) - used[GENERATOR])
                    api[kind].append(used["api"])
                    accepts[kind] += placed.accepted.values()
        figure = CalmFigure(
            turns=self.turns,
            cpu_seconds=cpu,
            api_cpu_seconds=api,
            cpu=ratio(cpu["on"], cpu["off"]),
            accept_seconds={kind: percentiles(accepts[kind]) for kind in _KINDS},
            orders={kind: len(accepts[kind]) for kind in _KINDS},
        )
        bench.results.add(PART, "calm", figure)
