"""Replicas over time: rises, falls, and the idle time before a fall."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean
from typing import Final

from tests.cluster.scaling.support.watching import Look, Trigger, Watch

# kube-controller-manager's --horizontal-pod-autoscaler-sync-period, by default.
ROUND_SECONDS: Final = 15
# The autoscaler ignores a metric this near its target: kube-controller-manager's default.
_TOLERANCE: Final = 0.1


@dataclass(frozen=True)
class Change:
    """A change of a service's replicas between two looks."""

    at: float
    before: int
    after: int


def changes(looks: Sequence[Look], service: str) -> list[Change]:
    return [
        Change(after.at, before.replicas[service], after.replicas[service])
        for before, after in pairwise(looks)
        if before.replicas[service] != after.replicas[service]
    ]


def rises(looks: Sequence[Look], service: str) -> list[Change]:
    return [change for change in changes(looks, service) if change.after > change.before]


def unasked(watch: Watch, looks: Sequence[Look], service: str, pod_slots: float) -> list[Change]:
    """Return the rises that the activities of the service's own queue do not explain.

    Another queue's load must not cause a rise. On two cores it may slow this queue's activities
    down, from milliseconds to more than a second: they hold more slots then, and a rise is right.

    Args:
        watch: for the slots in use.
        looks: the time to check.
        service: the service to check.
        pod_slots: the slots in use that one pod serves.
    """
    most = f"max_over_time(({watch.queries[f'{service} used']})[{ROUND_SECONDS}s:1s])"

    def asked(at: float) -> int:
        return _pods(watch.ask(most, at) or 0, pod_slots)

    return [rise for rise in rises(looks, service) if asked(rise.at) <= rise.before]


def falls(looks: Sequence[Look], service: str) -> list[Change]:
    return [change for change in changes(looks, service) if change.after < change.before]


def most(looks: Sequence[Look], service: str) -> int:
    return max(look.replicas[service] for look in looks)


def needed(looks: Sequence[Look], service: str, triggers: Mapping[str, Trigger]) -> int:
    """Return the pods that a scaler would ask for, by the mean of these looks' signals.

    Missing values are left out.
    """
    asked = [0]
    for name, trigger in triggers.items():
        seen = [look.values[name] for look in looks] if name.startswith(f"{service} ") else []
        known = [value for value in seen if value is not None]
        if known:
            asked.append(_pods(fmean(known), trigger.threshold))
    return max(asked)


def _pods(value: float, each: float) -> int:
    """Return the pods for a value, if each pod serves `each` of it."""
    return math.ceil(value / each - _TOLERANCE)


def idle_before(
    looks: Sequence[Look], fall: Change, service: str, triggers: Mapping[str, Trigger]
) -> float:
    """Return the seconds before a fall in which the remaining pods were enough.

    By the mean of each round of the autoscaler, which may miss shorter peaks.
    """
    last = -math.inf
    for index, look in enumerate(looks):
        if look.at >= fall.at:
            break
        round_ = [seen for seen in looks[: index + 1] if seen.at > look.at - ROUND_SECONDS]
        if needed(round_, service, triggers) > fall.after:
            last = look.at
    return fall.at - last
