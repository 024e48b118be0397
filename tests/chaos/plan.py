"""What is done to the fleet, and when: from the seed alone."""

from collections.abc import Iterator
from enum import StrEnum
from random import Random
from typing import Final, TypeAlias

from msgspec import Struct

from tests.chaos.recording import API, POSTGRES, QUEUES, TEMPORAL, WORKERS

SERVICES: Final = (API, *WORKERS)
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
Kinds: TypeAlias = tuple[tuple[Kind, int, float], ...]
_OF_SERVICES: Final[Kinds] = ((Kind.KILL, 5, 3.0), (Kind.FREEZE, 4, 6.0), (Kind.RESTART, 1, 1.0))
_OF_QUEUES: Final[Kinds] = ((Kind.KILL, 1, 4.0), (Kind.FREEZE, 1, 6.0))
_OF_SERVERS: Final[Kinds] = (
    (Kind.KILL, 2, 5.0),
    (Kind.FREEZE, 2, 5.0),
    (Kind.RESTART, 1, 2.0),
    (Kind.CUT, 4, 2.0),
    (Kind.SWALLOW, 2, 5.0),
)
# An outage excuses every order that is open; so a phase without one follows it, in which the 15 s
# count.
_OUTAGES: Final = 0.25
_SHORTEST_PAUSE: Final = 1.5
_LONGEST_PAUSE: Final = 7.0
_PHASE_SECONDS: Final = 30.0


def disturbances(seed: int) -> Iterator[Disturbance]:
    """Yield the disturbances of a run, without end."""
    chance = Random(f"{seed}/plan")
    phase = 0.0
    while True:
        is_outage = phase <= 0 and chance.random() < _OUTAGES
        target, kinds = chance.choice(SERVICES), _OF_SERVICES
        if is_outage:
            target = chance.choice((*SERVERS, *SERVERS, *QUEUES))
            kinds = _OF_SERVERS if target in SERVERS else _OF_QUEUES
        kind, _, longest = chance.choices(kinds, [weight for _, weight, _ in kinds])[0]
        pause = chance.uniform(_SHORTEST_PAUSE, _LONGEST_PAUSE)
        yield Disturbance(pause, kind, target, chance.uniform(0.1, longest))
        phase = _PHASE_SECONDS if is_outage else phase - pause
