"""What became of the replicas over time: rises, falls, and whether a fall was right."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean
from typing import Final

from tests.cluster.scaling.support.watching import Look, Trigger, Watch

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


def rises(looks: Sequence[Look], service: str) -> list[Change]:
    return [one for one in changes(looks, service) if one.after > one.before]


def unasked(watch: Watch, looks: Sequence[Look], service: str, pod_slots: float) -> list[Change]:
    """Return the rises for which the activities of the service's own queue had not asked.

    Another queue's load must not cause one. On two cores it may slow this one's activities down,
    from milliseconds to more than a second: they are in more slots then, and rightly ask for a pod.

    Args:
        watch: knows how many slots were in use.
        looks: where to look for rises.
        service: whose.
        pod_slots: the slots in use that one pod is good for.
    """
    most = f"max_over_time(({watch.queries[f'{service} used']})[{ROUND_SECONDS}s:1s])"

    def asked(at: float) -> int:
        return _pods(watch.ask(most, at) or 0, pod_slots)

    return [one for one in rises(looks, service) if asked(one.at) <= one.before]


def falls(looks: Sequence[Look], service: str) -> list[Change]:
    return [one for one in changes(looks, service) if one.after < one.before]


def most(looks: Sequence[Look], service: str) -> int:
    return max(look.replicas[service] for look in looks)


def needed(looks: Sequence[Look], service: str, triggers: Mapping[str, Trigger]) -> int:
    """Return the pods that a scaler would ask for, by the mean of what these looks saw.

    A signal that was away is not in it.
    """
    asked = [0]
    for name, trigger in triggers.items():
        seen = [look.values[name] for look in looks] if name.startswith(f"{service} ") else []
        known = [value for value in seen if value is not None]
        if known:
            asked.append(_pods(fmean(known), trigger.threshold))
    return max(asked)


def _pods(value: float, each: float) -> int:
    """Return the pods that a value asks for, of which each pod is good for so much."""
    return math.ceil(value / each - _TOLERANCE)


def idle_before(
    looks: Sequence[Look], fall: Change, service: str, triggers: Mapping[str, Trigger]
) -> float:
    """Return for how many seconds before a fall there was no work for more pods than it left.

    It is the mean of a round of the autoscaler that counts: shorter peaks it may not see.
    """
    last = -math.inf
    for index, look in enumerate(looks):
        if look.at >= fall.at:
            break
        round_ = [one for one in looks[: index + 1] if one.at > look.at - ROUND_SECONDS]
        if needed(round_, service, triggers) > fall.after:
            last = look.at
    return fall.at - last
