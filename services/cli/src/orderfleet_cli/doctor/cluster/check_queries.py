"""Checks of the triggers' queries: what each asks for, by KEDA's own rules."""

import asyncio
import math
from collections.abc import Collection, Iterator
from typing import Final

from orderfleet_cli.doctor.cluster.kubernetes_objects import Trigger
from orderfleet_cli.doctor.cluster.prometheus import Prometheus, PrometheusError, Series
from orderfleet_cli.doctor.cluster.release import Release
from orderfleet_cli.doctor.finding import Finding

_FIX_OF_NOTHING: Final = "see what the scrape above lacks; what no pod has told yet has no row"
_FIX_OF_MANY: Final = "the query has to end in one row: upgrade the release, whose queries do"


def addresses(release: Release) -> list[str]:
    """Return which Prometheus the triggers of a release name."""
    found = (_address(one) for _, one in _triggers(release))
    return list(dict.fromkeys(filter(None, found)))


async def check_queries(
    prometheus: Prometheus, release: Release, named: Collection[str]
) -> list[Finding]:
    """Run the queries of the triggers that name one of these addresses."""
    queries = (
        _check(prometheus, name, one) for name, one in _triggers(release) if _address(one) in named
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
        found = await prometheus.query(trigger.metadata.get("query", ""))
    except PrometheusError as error:
        return Finding(name, ok=False, found=str(error), fix="run it on Prometheus' own page")
    if len(found) > 1:
        rows = f"{len(found)} rows, which KEDA takes for an error"
        return Finding(name, ok=False, found=rows, fix=_FIX_OF_MANY)
    value = _value(found)
    if not math.isfinite(value):
        ignored = trigger.metadata.get("ignoreNullValues", "true") != "false"
        taken = "for 0: a dead scrape would end pods" if ignored else "for an error"
        nothing = f"no value, which KEDA takes {taken}"
        return Finding(name, ok=False, found=nothing, fix=_FIX_OF_NOTHING)
    return Finding(name, ok=True, found=_asks(trigger, value))


def _value(found: list[Series]) -> float:
    values = [float(one.value[1]) for one in found if one.value]
    return values[0] if values else math.nan


def _asks(trigger: Trigger, value: float) -> str:
    threshold = float(trigger.metadata.get("threshold", "nan"))
    said = f"{value:.4g} of {threshold:g}"
    if trigger.metric_type != "AverageValue" or not threshold > 0:
        return said
    pods = math.ceil(value / threshold)
    return f"{said} a pod: asks for {pods} pod{'s' if pods != 1 else ''}"
