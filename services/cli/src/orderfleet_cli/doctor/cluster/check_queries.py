"""Check the triggers' queries: how many pods each asks for, by KEDA's own rules."""

import asyncio
import math
from collections.abc import Collection, Iterator
from typing import Final

from orderfleet_cli.doctor.cluster.kubernetes_objects import Trigger
from orderfleet_cli.doctor.cluster.prometheus import Prometheus, PrometheusError, Series
from orderfleet_cli.doctor.cluster.release import Release
from orderfleet_cli.doctor.finding import Finding

_FIX_OF_NO_VALUE: Final = "see the scrape above; a metric that no pod has exported yet has no row"
_FIX_OF_MANY_ROWS: Final = "the query must return one row: upgrade the release"


def addresses(release: Release) -> list[str]:
    """Return the addresses of Prometheus that the triggers of a release name."""
    named = (_address(trigger) for _, trigger in _triggers(release))
    return list(dict.fromkeys(filter(None, named)))


async def check_queries(
    prometheus: Prometheus, release: Release, named: Collection[str]
) -> list[Finding]:
    """Run the queries of the triggers that name one of these addresses."""
    queries = (
        _check(prometheus, name, trigger)
        for name, trigger in _triggers(release)
        if _address(trigger) in named
    )
    return await asyncio.gather(*queries)


def _triggers(release: Release) -> Iterator[tuple[str, Trigger]]:
    for service in release.services:
        for scaled in service.scaled_objects:
            for index, trigger in enumerate(scaled.spec.triggers):
                yield f"query {trigger.name or index} of {service.component}", trigger


def _address(trigger: Trigger) -> str:
    return trigger.metadata.get("serverAddress", "") if trigger.type == "prometheus" else ""


async def _check(prometheus: Prometheus, name: str, trigger: Trigger) -> Finding:
    try:
        rows = await prometheus.query(trigger.metadata.get("query", ""))
    except PrometheusError as error:
        return Finding(name, ok=False, found=str(error), fix="run it in the web UI of Prometheus")
    if len(rows) > 1:
        found = f"{len(rows)} rows, which KEDA takes for an error"
        return Finding(name, ok=False, found=found, fix=_FIX_OF_MANY_ROWS)
    value = _value(rows)
    if not math.isfinite(value):
        ignored = trigger.metadata.get("ignoreNullValues", "true") != "false"
        taken = "for 0: a dead scrape would remove pods" if ignored else "for an error"
        found = f"no value, which KEDA takes {taken}"
        return Finding(name, ok=False, found=found, fix=_FIX_OF_NO_VALUE)
    return Finding(name, ok=True, found=_describe(trigger, value))


def _value(rows: list[Series]) -> float:
    values = [float(row.value[1]) for row in rows if row.value]
    return values[0] if values else math.nan


def _describe(trigger: Trigger, value: float) -> str:
    threshold = float(trigger.metadata.get("threshold", "nan"))
    ratio = f"{value:.4g} of {threshold:g}"
    if trigger.metric_type != "AverageValue" or not threshold > 0:
        return ratio
    pods = math.ceil(value / threshold)
    return f"{ratio} a pod: asks for {pods} pod{'s' if pods != 1 else ''}"
