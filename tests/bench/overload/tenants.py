"""A tenant with ten times what the fleet can do, beside one with an order a second."""

import asyncio
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from msgspec import Struct

from tests.bench.bench import Bench
from tests.bench.overload.figures import LoadFigure, load_figure
from tests.bench.overload.fleet import PART, numbered, peak_of, settle, soon, warm_fleet
from tests.bench.overload.loads import FLOOD
from tests.bench.overload.offer import Client, Step, offer
from tests.bench.subjects.orderfleet import Orderfleet
from tests.bench.trial import Phase

_KEYS: Final = {"a": "key-of-a", "b": "key-of-b"}
_ENV: Final = {
    "ORDERFLEET_API_KEYS": ",".join(
        f"{name}:{sha256(key.encode()).hexdigest()}" for name, key in _KEYS.items()
    )
}
_QUIET_PER_SECOND: Final = 1.0


class TenantsFigure(Struct, frozen=True):
    """Tenant b alone, then beside tenant a."""

    alone: LoadFigure
    beside: LoadFigure
    greedy: LoadFigure
    """Tenant a's."""


@dataclass(frozen=True)
class Tenants:
    """b at 1 order/s alone, then beside a at 10 P."""

    rise: Phase
    seconds: float

    async def __call__(self, bench: Bench) -> None:
        quiet = Step(_QUIET_PER_SECOND, self.seconds)
        greedy = Step(FLOOD * await peak_of(bench, self.rise), self.seconds)
        async with warm_fleet(bench, "tenants", _ENV, _KEYS["b"]) as fleet:
            alone = await _load(fleet, bench.prefix("b alone"), "b", quiet, soon())
            began = soon()
            beside, other = await asyncio.gather(
                _load(fleet, bench.prefix("b beside"), "b", quiet, began),
                _load(fleet, bench.prefix("a"), "a", greedy, began),
            )
        bench.results.add(PART, "tenants", TenantsFigure(alone, beside, other))


async def _load(
    fleet: Orderfleet, prefix: str, tenant: str, step: Step, began: float
) -> LoadFigure:
    client = Client(fleet.http.port, _KEYS[tenant])
    sent = await offer(numbered(prefix), [step], client.place, began)
    client.close()
    ends = await settle(fleet, prefix, sent)
    return load_figure(step.rate, (began, began + step.seconds), sent, ends)
