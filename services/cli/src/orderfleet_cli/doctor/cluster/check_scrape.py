"""Check the scrape: Prometheus must have fresh series of every pod, once."""

from collections.abc import Iterable, Iterator
from itertools import pairwise
from statistics import median
from typing import Final

from msgspec import Struct

from orderfleet_cli.doctor.cluster.kubernetes_objects import Pod
from orderfleet_cli.doctor.cluster.prometheus import Prometheus, Series
from orderfleet_cli.doctor.cluster.release import Release, Service
from orderfleet_cli.doctor.finding import Finding

# Every process exports it all the time.
_METRIC: Final = "orderfleet_build_info"
# Long enough for several scrapes, even if they are a minute apart.
_WINDOW: Final = "5m"
# A pod that became ready more recently may not have been scraped yet.
_NEW: Final = 60.0
# The longest interval that follows the load of 15 s orders, and its tolerance.
_INTERVAL: Final = 15.0
_LATE: Final = 1.2
# A series is fresh if it misses no more scrapes than this.
_MISSED: Final = 3


class _Scrapes(Struct, frozen=True):
    """The series of the release's pods in Prometheus."""

    now: float
    builds: list[Series]
    up: list[Series]

    @property
    def interval(self) -> float:
        """The longest median time between two scrapes, 0 if there are not enough yet."""
        medians = [
            median(later - before for (before, _), (later, _) in pairwise(series.values))
            for series in self.builds
            if len(series.values) > 1
        ]
        return max(medians, default=0.0)

    def fresh(self, pod: Pod) -> list[Series]:
        """Return the series of a pod that still get samples."""
        oldest = self.now - _MISSED * (self.interval or _NEW)
        return [
            series
            for series in _of(self.builds, pod)
            if series.values and series.values[-1][0] > oldest
        ]

    def fails(self, pod: Pod) -> bool:
        """Return whether the scrapes of a pod fail."""
        return any(up.values and up.values[-1][1] == "0" for up in _of(self.up, pod))

    def is_new(self, pod: Pod) -> bool:
        """Return whether a pod is not ready, or has not been for long."""
        ready = pod.status.condition("Ready")
        since = ready.last_transition_time
        recently = self.now - _NEW
        return ready.status != "True" or (since is not None and since.timestamp() > recently)


async def check_scrape(prometheus: Prometheus, release: Release) -> list[Finding]:
    """Check the scrape of every service.

    Raises:
        PrometheusError: there is no answer.
    """
    # Pods are named after their Deployments.
    names = [
        deployment.metadata.name
        for service in release.services
        for deployment in service.deployments
    ]
    where = f'namespace="{release.namespace}", pod=~"({"|".join(names)})-.+"'
    series = await prometheus.query(f'{{__name__=~"{_METRIC}|up", {where}}}[{_WINDOW}]')
    clock = await prometheus.query("vector(time())")
    scrapes = _Scrapes(
        now=max((float(row.value[1]) for row in clock if row.value), default=0.0),
        builds=[row for row in series if row.metric.get("__name__") == _METRIC],
        up=[row for row in series if row.metric.get("__name__") == "up"],
    )
    return [finding for service in release.services for finding in _check(service, scrapes)]


def _check(service: Service, scrapes: _Scrapes) -> Iterator[Finding]:
    name = f"scrape of {service.component}"
    pods = [pod for pod in service.pods if not pod.metadata.deletion_timestamp]
    pods = [pod for pod in pods if scrapes.fresh(pod) or not scrapes.is_new(pod)]
    lost = [pod for pod in pods if not scrapes.fresh(pod)]
    twice = [pod for pod in pods if len(scrapes.fresh(pod)) > 1]
    if lost:
        found = f"no fresh series of {len(lost)} of {len(pods)} pods: {_names(lost)}"
        yield Finding(name, ok=False, found=found, fix=_fix_of_lost(scrapes, lost))
    if twice:
        found = f"{len(twice)} of {len(pods)} pods are scraped twice: {_names(twice)}"
        fix = "a sum counts them twice: global.metrics.annotations or podMonitor.enabled, not both"
        yield Finding(name, ok=False, found=found, fix=fix)
    if scrapes.interval > _INTERVAL * _LATE and not lost:
        found = f"every {scrapes.interval:.0f} s: the pods follow the load that much later"
        fix = f"set podMonitor.interval, or Prometheus' scrape_interval, to {_INTERVAL:g}s or less"
        yield Finding(name, ok=False, found=found, fix=fix)
    elif not (lost or twice):
        often = f", every {scrapes.interval:.0f} s" if scrapes.interval else ""
        yield Finding(name, ok=True, found=f"{len(pods)} of {len(pods)} pods{often}")


def _fix_of_lost(scrapes: _Scrapes, lost: Iterable[Pod]) -> str:
    if any(scrapes.fails(pod) for pod in lost):
        return (
            "Prometheus cannot reach the pods' port: let it in by "
            "global.networkPolicy.metricsFrom, see its page Status / Targets"
        )
    return (
        "set global.metrics.annotations, or podMonitor.enabled with the podMonitor.labels that "
        "Prometheus selects by; the series need the labels namespace and pod"
    )


def _of(series: Iterable[Series], pod: Pod) -> list[Series]:
    return [row for row in series if row.metric.get("pod") == pod.metadata.name]


def _names(pods: Iterable[Pod]) -> str:
    return ", ".join(pod.metadata.name for pod in pods)
