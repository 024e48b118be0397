"""What is done to the fleet, and when: from the seed alone."""

from collections.abc import Iterator
from enum import StrEnum
from random import Random
from typing import Final

from msgspec import Struct

from tests.chaos.recording import POSTGRES, TEMPORAL

API: Final = "api"
ORDER_WORKERS: Final = ("order-worker", "order-worker-2")
SHIPPING_WORKERS: Final = ("shipping-worker", "shipping-worker-2")
SERVICES: Final = (API, *ORDER_WORKERS, *SHIPPING_WORKERS)
SERVERS: Final = (POSTGRES, TEMPORAL)


class Kind(StrEnum):
    """What is done to a process, or to the connections to a server."""

    KILL = "kill -9"
    RESTART = "restart"
    FREEZE = "freeze"
    CUT = "cut"
    SWALLOW = "swallow"


class Disturbance(Struct, frozen=True):
    """One disturbance, `pause` seconds after the one before began."""

    pause: float
    kind: Kind
    target: str
    seconds: float
    """How long the target is away; a process then takes its time to start."""


# What, how often, and for how long at most.
_SERVICES: Final = ((Kind.KILL, 5, 3.0), (Kind.FREEZE, 4, 6.0), (Kind.RESTART, 1, 1.0))
_SERVERS: Final = (
    (Kind.KILL, 2, 5.0),
    (Kind.FREEZE, 2, 5.0),
    (Kind.RESTART, 1, 2.0),
    (Kind.CUT, 4, 2.0),
    (Kind.SWALLOW, 2, 5.0),
)
# An outage of a server excuses every order that is open; so a phase without one follows it, in
# which the 15 s count.
_OF_SERVERS: Final = 0.2
_SHORTEST_PAUSE: Final = 1.5
_LONGEST_PAUSE: Final = 6.0
_PHASE_SECONDS: Final = 25.0


def disturbances(seed: int) -> Iterator[Disturbance]:
    """Yield the disturbances of a run, without end."""
    chance = Random(f"{seed}/plan")
    phase = 0.0
    while True:
        of_server = phase <= 0 and chance.random() < _OF_SERVERS
        target = chance.choice(SERVERS if of_server else SERVICES)
        kinds = _SERVERS if of_server else _SERVICES
        kind, _, longest = chance.choices(kinds, [weight for _, weight, _ in kinds])[0]
        pause = chance.uniform(_SHORTEST_PAUSE, _LONGEST_PAUSE)
        yield Disturbance(pause, kind, target, chance.uniform(0.1, longest))
        phase = _PHASE_SECONDS if of_server else phase - pause
