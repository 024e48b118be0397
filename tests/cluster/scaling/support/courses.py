"""What became of the replicas over time: rises, falls, and whether a fall was right."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from tests.cluster.scaling.support.watching import Look, Trigger

# kube-controller-manager's --horizontal-pod-autoscaler-sync-period, by default.
ROUND_SECONDS: Final = 15
# A metric within this of its target changes nothing: kube-controller-manager's own default.
_TOLERANCE: Final = 0.1


@dataclass(frozen=True)
class Change:
    """The replicas of a service changed between two looks."""

    at: float
    before: int
    after: int


def changes(looks: Sequence[Look], service: str) -> list[Change]:
    pairs = pairwise(looks)
    found = ((one.at, last.replicas[service], one.replicas[service]) for last, one in pairs)
    return [Change(*one) for one in found if one[1] != one[2]]


def most(looks: Sequence[Look], service: str) -> int:
    return max(look.replicas[service] for look in looks)


def needed(look: Look, service: str, triggers: Mapping[str, Trigger]) -> int | None:
    """Return the pods that a scaler would ask for; None if it cannot know."""
    asked = []
    for name, trigger in triggers.items():
        if name.startswith(f"{service} "):
            value = look.values[name]
            if value is None:
                return None
            asked.append(math.ceil(value / trigger.threshold - _TOLERANCE))
    return max(asked)


def idle_before(
    looks: Sequence[Look], fall: Change, service: str, triggers: Mapping[str, Trigger]
) -> float:
    """Return for how many seconds before a fall there was no work for more pods than it left.

    Work is what lasts for a round of the autoscaler: what is over sooner, it may not see.
    """
    since, last = math.inf, -math.inf
    for look in looks:
        if look.at >= fall.at:
            break
        if (needed(look, service, triggers) or 0) <= fall.after:
            since = math.inf
            continue
        since = min(since, look.at)
        if look.at - since >= ROUND_SECONDS:
            last = look.at
    return fall.at - last
