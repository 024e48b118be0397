"""Checks of the scrape: whether Prometheus has fresh series of every pod, once."""

from collections.abc import Iterable, Iterator
from itertools import pairwise
from statistics import median
from typing import Final

from msgspec import Struct

from orderfleet_cli.doctor.cluster.kubernetes_objects import Pod
from orderfleet_cli.doctor.cluster.prometheus import Prometheus, Series
from orderfleet_cli.doctor.cluster.release import Release, Service
from orderfleet_cli.doctor.finding import Finding

# Every process tells it, all the time.
_METRIC: Final = "orderfleet_build_info"
# So many intervals may be seen, also where a minute passes between two scrapes.
_WINDOW: Final = "5m"
# A pod that has been ready for less than this need not have been scraped.
_NEW: Final = 60.0
# What follows the load of orders of 15 s, and how much a scrape may be late.
_INTERVAL: Final = 15.0
_LATE: Final = 1.2
# An answer is fresh if no more scrapes than this are missing.
_MISSED: Final = 3


class _Seen(Struct, frozen=True):
    """What Prometheus has of the release's pods."""

    now: float
    told: list[Series]
    up: list[Series]

    @property
    def interval(self) -> float:
        """The longest usual time between two scrapes, 0 if it cannot be told yet."""
        usual = [
            median(later - before for (before, _), (later, _) in pairwise(one.values))
            for one in self.told
            if len(one.values) > 1
        ]
        return max(usual, default=0.0)

    def fresh(self, pod: Pod) -> list[Series]:
        """Return the series of a pod that still get samples."""
        oldest = self.now - _MISSED * (self.interval or _NEW)
        return [one for one in _of(self.told, pod) if one.values and one.values[-1][0] > oldest]

    def fails(self, pod: Pod) -> bool:
        """Tell whether Prometheus tries to scrape a pod, and cannot."""
        return any(one.values and one.values[-1][1] == "0" for one in _of(self.up, pod))

    def is_new(self, pod: Pod) -> bool:
        """Tell whether a pod is not ready, or not for long."""
        ready = pod.status.condition("Ready")
        since = ready.last_transition_time
        late = self.now - _NEW
        return ready.status != "True" or (since is not None and since.timestamp() > late)


async def check_scrape(prometheus: Prometheus, release: Release) -> list[Finding]:
    """Check the scrape of every service.

    Raises:
        PrometheusError: there is no answer.
    """
    # Pods are named after their Deployments.
    names = [one.metadata.name for service in release.services for one in service.deployments]
    where = f'namespace="{release.namespace}", pod=~"({"|".join(names)})-.+"'
    found = await prometheus.query(f'{{__name__=~"{_METRIC}|up", {where}}}[{_WINDOW}]')
    clock = await prometheus.query("vector(time())")
    seen = _Seen(
        now=max((float(one.value[1]) for one in clock if one.value), default=0.0),
        told=[one for one in found if one.metric.get("__name__") == _METRIC],
        up=[one for one in found if one.metric.get("__name__") == "up"],
    )
    return [check for service in release.services for check in _checks(service, seen)]


def _checks(service: Service, seen: _Seen) -> Iterator[Finding]:
    name = f"scrape of {service.component}"
    pods = [one for one in service.pods if not one.metadata.deletion_timestamp]
    pods = [one for one in pods if seen.fresh(one) or not seen.is_new(one)]
    lost = [one for one in pods if not seen.fresh(one)]
    twice = [one for one in pods if len(seen.fresh(one)) > 1]
    if lost:
        found = f"no fresh series of {len(lost)} of {len(pods)} pods: {_names(lost)}"
        yield Finding(name, ok=False, found=found, fix=_fix_of_lost(seen, lost))
    if twice:
        found = f"{len(twice)} of {len(pods)} pods are scraped twice: {_names(twice)}"
        fix = "a sum counts them twice: global.metrics.annotations or podMonitor.enabled, not both"
        yield Finding(name, ok=False, found=found, fix=fix)
    if seen.interval > _INTERVAL * _LATE and not lost:
        found = f"every {seen.interval:.0f} s: the pods follow the load that much later"
        fix = f"set podMonitor.interval, or Prometheus' scrape_interval, to {_INTERVAL:g}s or less"
        yield Finding(name, ok=False, found=found, fix=fix)
    elif not (lost or twice):
        often = f", every {seen.interval:.0f} s" if seen.interval else ""
        yield Finding(name, ok=True, found=f"{len(pods)} of {len(pods)} pods{often}")


def _fix_of_lost(seen: _Seen, lost: Iterable[Pod]) -> str:
    if any(seen.fails(one) for one in lost):
        return (
            "Prometheus cannot reach the pods' port: let it in by "
            "global.networkPolicy.metricsFrom, see its page Status / Targets"
        )
    return (
        "set global.metrics.annotations, or podMonitor.enabled with the podMonitor.labels that "
        "Prometheus selects by; the series need the labels namespace and pod"
    )


def _of(series: Iterable[Series], pod: Pod) -> list[Series]:
    return [one for one in series if one.metric.get("pod") == pod.metadata.name]


def _names(pods: Iterable[Pod]) -> str:
    return ", ".join(one.metadata.name for one in pods)
