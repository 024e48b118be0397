"""Loads beyond what the fleet can do, with admission on: a step, the fall after it, and a flood."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Final

from msgspec import Struct

from tests.bench.bench import Bench
from tests.bench.cores import undisturbed
from tests.bench.overload.figures import (
    LoadFigure,
    Recovery,
    Second,
    load_figure,
    recovery,
    timeline,
)
from tests.bench.overload.fleet import (
    PART,
    PEAK,
    SLOW_GATEWAY,
    measure_peak,
    numbered,
    peak_of,
    periods,
    settle,
    soon,
    warm_fleet,
    warm_up_prefix,
)
from tests.bench.overload.offer import Client, Step, offer
from tests.bench.overload.watch import watch_api
from tests.bench.spread import percentiles
from tests.bench.trial import GENERATOR, Phase, own_cpu
from tests.bench.usage import cpu

ABOVE: Final = 3.0
BELOW: Final = 0.7
FLOOD: Final = 10.0
STEP: Final = "3 P"
SLOW: Final = "3 P, slow gateway"
SLOW_PEAK: Final = "P, slow gateway"
_READS_PER_SECOND: Final = 10.0
_READ_ORDERS: Final = 8


class StepFigure(Struct, frozen=True):
    """A load above P and the fall below it."""

    peak: float
    """P, of which the load is a multiple."""
    peak_after: float
    """The same, measured after it: on one machine it was 7.7 and 11.0 within half an hour."""
    above: LoadFigure
    below: LoadFigure | None
    recovery: Recovery | None
    timeline: list[Second]
    gauges: list[dict[str, float]]
    """Of admission, each second."""
    cpu_seconds: dict[str, float]
    """Of each process, over all of it."""


@dataclass(frozen=True)
class StepLoad:
    """3 P, then 0.7 P at once, unless that lasts 0 s."""

    rise: Phase
    above: float
    below: float
    slow: bool = False

    async def __call__(self, bench: Bench) -> None:
        env: Mapping[str, str] = SLOW_GATEWAY if self.slow else {}
        name = SLOW if self.slow else STEP
        peak_name = SLOW_PEAK if self.slow else PEAK
        peak = await peak_of(bench, self.rise, peak_name, env)
        steps = [Step(ABOVE * peak, self.above)]
        if self.below:
            steps.append(Step(BELOW * peak, self.below))
        async with warm_fleet(bench, name, env) as fleet:
            trees = {**fleet.trees, **bench.server.trees}
            prefix, began = bench.prefix(name), soon()
            before, own = cpu(trees), own_cpu()
            client = Client(fleet.http.port)
            async with watch_api(fleet) as watched:
                with undisturbed():
                    sent = await offer(numbered(prefix), steps, client.place, began)
            client.close()
            used = {part: value - before[part] for part, value in cpu(trees).items()}
            used[GENERATOR] = own_cpu() - own
            ends = await settle(fleet, prefix, sent)
        again = await measure_peak(bench, self.rise, f"{peak_name} again", env)
        figures = [
            load_figure(step.rate, period, sent, ends)
            for step, period in zip(steps, periods(began, steps), strict=True)
        ]
        figure = StepFigure(
            peak=peak,
            peak_after=again.per_second,
            above=figures[0],
            below=figures[1] if self.below else None,
            recovery=recovery(began + self.above, sent) if self.below else None,
            timeline=timeline(sent, ends),
            gauges=watched.gauges,
            cpu_seconds=used,
        )
        bench.results.add(PART, name, figure)


class FloodFigure(Struct, frozen=True):
    """10 P, and reads of orders meanwhile."""

    load: LoadFigure
    memory: list[int]
    """The API's, in bytes: before, each second, and when all orders have ended."""
    read_seconds: dict[str, float]
    reads: int
    reads_failed: int


@dataclass(frozen=True)
class Flood:
    """10 P for a while, and the API's memory and reads."""

    rise: Phase
    seconds: float

    async def __call__(self, bench: Bench) -> None:
        peak = await peak_of(bench, self.rise)
        step = Step(FLOOD * peak, self.seconds)
        async with warm_fleet(bench, "10 P") as fleet:
            known = await fleet.ends(warm_up_prefix(bench, "10 P"))
            client, reader = Client(fleet.http.port), Client(fleet.http.port)
            prefix, began = bench.prefix("10 P"), soon()
            async with watch_api(fleet) as watched:
                with undisturbed():
                    sent, reads = await asyncio.gather(
                        offer(numbered(prefix), [step], client.place, began),
                        offer(
                            cycle(_paths(sorted(known))),
                            [Step(_READS_PER_SECOND, self.seconds)],
                            reader.read,
                            began,
                        ),
                    )
                client.close()
                reader.close()
                ends = await settle(fleet, prefix, sent)
        figure = FloodFigure(
            load=load_figure(step.rate, (began, began + step.seconds), sent, ends),
            memory=watched.memory,
            read_seconds=percentiles([one.seconds for one in reads]),
            reads=len(reads),
            reads_failed=sum(one.status != 200 for one in reads),
        )
        bench.results.add(PART, "10 P", figure)


def _paths(order_ids: Sequence[str]) -> list[str]:
    """Return reads of single orders and, as often, of the listing."""
    orders = [f"/orders/{order_id}" for order_id in order_ids[:_READ_ORDERS]]
    return [path for order in orders for path in (order, "/orders")]
