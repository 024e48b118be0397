"""What the benchmarks of the Makefile measure, in which order, and how often."""

import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeAlias

from tests.bench.accept import accept
from tests.bench.bench import Bench
from tests.bench.feed import PART as FEED
from tests.bench.feed import feed
from tests.bench.growth import old_orders, open_orders
from tests.bench.overload.calm import Calm
from tests.bench.overload.loads import Flood, StepLoad
from tests.bench.overload.outage import Outage
from tests.bench.overload.tenants import Tenants
from tests.bench.rates import Rates, common_way, dbos, floor, orderfleet
from tests.bench.reads import reads
from tests.bench.results import Results
from tests.bench.server import run_server
from tests.bench.trial import Phase
from tests.bench.turns import PLAIN, Turns

Part: TypeAlias = Callable[[Bench], Awaitable[None]]

# Ever more orders until some miss their deadline. A steeper rise is far past what two cores do by
# then: at 1.5 a second more with each second, 40 orders/s where 13 are fulfilled.
RISING: Final = Phase(plateau=8, plateau_seconds=1, rise=0.8, longest=45)
# Here the load is called off about when the first orders miss their deadline.
SHORT: Final = Phase(plateau=8, plateau_seconds=1, rise=1.2, longest=21)
# To P: from far below it, as a fleet that begins above it never reaches it.
TO_PEAK: Final = Phase(plateau=3, plateau_seconds=1, rise=0.8, longest=55)
TO_PEAK_SHORT: Final = Phase(plateau=3, plateau_seconds=1, rise=1.2, longest=30)
STEADY: Final = Phase(plateau=4, plateau_seconds=30)


@dataclass(frozen=True)
class Plan:
    """Parts, each as often as there are runs, by turns: what drifts meets all of them."""

    runs: int
    parts: Mapping[str, Part]
    once: Mapping[str, Part]
    """Parts of which one run is enough, the last: they have their own comparison in themselves."""

    @property
    def names(self) -> list[str]:
        return [*self.parts, *self.once]

    def limited(self, runs: int | None, only: Collection[str] | None) -> "Plan":
        """Return the plan with another number of runs, or with some of its parts."""
        wanted = self.names if only is None else only
        return replace(
            self,
            runs=self.runs if runs is None else runs,
            parts={name: part for name, part in self.parts.items() if name in wanted},
            once={name: part for name, part in self.once.items() if name in wanted},
        )


def _rates(*rates: Rates) -> dict[str, Part]:
    return {one.name: one for one in rates}


def _overload(parts: Mapping[str, Part]) -> Plan:
    """Return a plan whose parts measure P first, unless an earlier part has."""
    return Plan(runs=1, parts=parts, once={})


PLANS: Final = {
    "short": Plan(
        runs=3,
        parts=_rates(
            Rates("orderfleet", orderfleet(2), SHORT),
            Rates("floor", floor(2), SHORT),
            Rates("orderfleet, no review", orderfleet(0), SHORT),
            Rates("floor, no review", floor(0), SHORT),
        ),
        once={},
    ),
    "full": Plan(
        runs=5,
        parts={
            **_rates(
                Rates("orderfleet", orderfleet(2), RISING),
                Rates("floor", floor(2), RISING),
                Rates("orderfleet, no sandbox", orderfleet(2, sandbox=False), RISING),
                Rates("floor, usual shape", floor(2, "usual"), RISING),
                Rates("common way", common_way(2), RISING),
                Rates("orderfleet, no review", orderfleet(0), SHORT),
                Rates("floor, no review", floor(0), SHORT),
            ),
            # Each after a part that leaves Temporal nothing to do: what is open when `accept` ends
            # goes on for 15 s, in which DBOS does not ask Temporal.
            "accept": accept,
            **_rates(Rates("DBOS", dbos(2), RISING)),
            "reads": reads,
        },
        once={
            **_rates(
                Rates("orderfleet, 2 workers a queue", orderfleet(2, workers=2), RISING),
                Rates("orderfleet, 4 workers a queue", orderfleet(2, workers=4), RISING),
            ),
            "old orders": old_orders,
            "open orders": open_orders,
        },
    ),
    "versions": Plan(
        runs=1,
        parts={
            "turns": Turns(
                {"versions": orderfleet(2, versions=True, apart="beside"), PLAIN: orderfleet(2)}
            )
        },
        once={},
    ),
    "encryption": Plan(
        runs=1,
        parts={
            "turns": Turns(
                {"encrypted": orderfleet(2, encrypted=True, apart="beside"), PLAIN: orderfleet(2)}
            )
        },
        once={},
    ),
    "overload": _overload(
        {
            "3 P": StepLoad(TO_PEAK, above=300, below=300),
            "10 P": Flood(TO_PEAK, seconds=60),
            "slow gateway": StepLoad(TO_PEAK, above=300, below=0, slow=True),
            "tenants": Tenants(TO_PEAK, seconds=120),
            "calm": Calm(TO_PEAK, turns=8, seconds=30),
            # Last: the server's caches are cold after them.
            "outage of Temporal": Outage(TO_PEAK, "Temporal"),
            "outage of Postgres": Outage(TO_PEAK, "Postgres"),
        }
    ),
    "overload-short": _overload(
        {
            "3 P": StepLoad(TO_PEAK_SHORT, above=60, below=60),
            "10 P": Flood(TO_PEAK_SHORT, seconds=30),
        }
    ),
    # For whoever tunes the limiter: the first rows alone, in three minutes.
    "overload-step": _overload({"3 P": StepLoad(TO_PEAK_SHORT, above=60, below=0)}),
    "feed": Plan(runs=2, parts={FEED: feed}, once={}),
    "budget": Plan(
        runs=1,
        parts=_rates(
            Rates("orderfleet", orderfleet(2), STEADY),
            Rates("floor", floor(2), STEADY),
        ),
        once={},
    ),
}


async def run_plan(plan: Plan, data: Path, results: Results) -> None:
    """Measure all of it on one server, saying what is under way."""
    began = time.monotonic()
    async with run_server(data) as server:
        results.about["server"] = server.kind
        for run in range(plan.runs):
            once = plan.once if run == plan.runs - 1 else {}
            for name, part in {**plan.parts, **once}.items():
                minutes = (time.monotonic() - began) / 60
                print(f"{minutes:5.1f} min  run {run + 1} of {plan.runs}: {name}", flush=True)
                await part(Bench(data, server, results, run))
    results.about["minutes"] = round((time.monotonic() - began) / 60, 1)
    results.write()
