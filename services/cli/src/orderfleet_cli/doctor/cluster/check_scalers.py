"""Checks of who scales: ScaledObjects of KEDA, and the autoscalers (HPA) of Kubernetes."""

import re
from collections.abc import Iterator
from typing import Final

from orderfleet_cli.doctor.cluster.kubernetes_objects import Condition, Hpa, ScaledObject, Trigger
from orderfleet_cli.doctor.cluster.release import Release, Service
from orderfleet_cli.doctor.finding import Finding

_KEDA_LOG: Final = "see the log of KEDA's operator"
# Of no use to a reader, and longer than the rest of the message.
_SELECTOR: Final = re.compile(r"/(&LabelSelector\{.*?\{\},?\}|nil)")

Problem = tuple[str, str]


def check_mode(release: Release) -> Finding:
    """Check that all services are scaled, or none: that is the chart's default."""
    said = []
    for word, scaled in (
        ("KEDA", [one.component for one in release.services if one.scaled_objects]),
        ("HPA", [one.component for one in release.services if _is_alone(one)]),
        ("nobody", [one.component for one in release.services if not one.scaled]),
    ):
        if scaled:
            said.append(f"{word} scales {', '.join(scaled)}")
    some = release.scaled and not all(service.scaled for service in release.services)
    off = " (autoscaling.mode: none)" if not release.scaled else ""
    fix = "helm upgrade with autoscaling.mode keda or hpa, which scales all of them"
    return Finding("autoscaling", ok=not some, found="; ".join(said) + off, fix=fix)


def check_scalers(release: Release) -> Iterator[Finding]:
    """Check what scales each service."""
    for service in release.services:
        for scaled in service.scaled_objects:
            name = f"ScaledObject of {service.component}"
            bounds = f"{scaled.spec.min_replica_count} to {scaled.spec.max_replica_count} pods"
            yield from _checks(name, f"is ready, {bounds}", _of_scaled_object(service, scaled))
        for hpa in service.hpas:
            yield from _checks(f"HPA of {service.component}", _wants(hpa), _of_hpa(service, hpa))
        yield from _how_many(service)


def _checks(name: str, found: str, problems: Iterator[Problem]) -> Iterator[Finding]:
    """Yield a check for each problem, or the one that there is none."""
    wrong = [Finding(name, ok=False, found=bad, fix=fix) for bad, fix in problems]
    yield from wrong or [Finding(name, ok=True, found=found)]


def _is_alone(service: Service) -> bool:
    return bool(service.hpas) and not service.scaled_objects


def _how_many(service: Service) -> Iterator[Finding]:
    """Yield what is wrong with the number of scalers: two of them pull at the same pods."""
    name = f"scalers of {service.component}"
    for found in (service.scaled_objects, service.hpas):
        if len(found) > 1:
            names = ", ".join(one.metadata.name for one in found)
            fix = "two scalers work against each other: remove the one that is not the chart's"
            yield Finding(name, ok=False, found=names, fix=fix)
    paused = any(one.pauses for one in service.scaled_objects)
    if service.scaled_objects and not service.hpas and not paused:
        yield Finding(name, ok=False, found="KEDA has made no HPA", fix=_KEDA_LOG)


def _of_scaled_object(service: Service, scaled: ScaledObject) -> Iterator[Problem]:
    name = scaled.metadata.name
    for pause in scaled.pauses:
        fix = (
            f"kubectl annotate scaledobject --namespace {scaled.metadata.namespace} {name} {pause}-"
        )
        yield f"is paused by {pause}", fix
    target = scaled.spec.scale_target_ref
    if target.name not in {one.metadata.name for one in service.deployments}:
        fix = f"helm upgrade, or remove the ScaledObject {name}"
        yield f"scales {target.kind} {target.name}, which is not there", fix
    ready = scaled.status.condition("Ready")
    if ready.status != "True":
        yield f"Ready is {_said(ready)}", f"see the queries above, else {_KEDA_LOG}"
    fallback = scaled.status.condition("Fallback")
    if fallback.status == "True":
        fix = "the number of pods is held: mend the trigger that failed"
        yield f"Fallback is {_said(fallback)}", fix
    for index, trigger in enumerate(scaled.spec.triggers):
        health = scaled.health_of(index)
        if health.status == "Failing":
            found = f"trigger {trigger.name or index} failed {health.number_of_failures} times"
            yield found, _fix_of_trigger(trigger)


def _fix_of_trigger(trigger: Trigger) -> str:
    if trigger.type == "temporal":
        return (
            "KEDA's operator must reach Temporal: temporal.allowFrom, or "
            "autoscaling.keda.temporalAuthentication; or autoscaling.keda.backlogFrom: prometheus"
        )
    return (
        "if its query above is well, KEDA's operator must reach autoscaling.prometheus.address, "
        "with autoscaling.prometheus.authentication if it wants one"
    )


def _of_hpa(service: Service, hpa: Hpa) -> Iterator[Problem]:
    able = hpa.status.condition("AbleToScale")
    if able.status != "True":
        fix = f"kubectl describe hpa --namespace {hpa.metadata.namespace} {hpa.metadata.name}"
        yield f"AbleToScale is {_said(able)}", fix
    active = hpa.status.condition("ScalingActive")
    # At 0 pods there is nothing to compute: KEDA alone starts the first one.
    if active.status != "True" and active.reason != "ScalingDisabled":
        yield f"ScalingActive is {_said(active)}", _fix_of_metrics(service)
    values = [one for one in hpa.status.current_metrics or [] if one.get("type")]
    wanted = len(hpa.spec.metrics)
    if active.status == "True" and len(values) < wanted:
        yield f"{len(values)} of {wanted} metrics have a value", _fix_of_metrics(service)
    # What it says of limits is old unless it computes.
    limited = hpa.status.condition("ScalingLimited")
    if active.status == "True" and limited.status == "True" and limited.reason == "TooManyReplicas":
        found = f"wants more than {hpa.spec.max_replicas} pods"
        yield found, f"raise {service.values}.autoscaling.maxReplicas"


def _fix_of_metrics(service: Service) -> str:
    if service.scaled_objects:
        return f"see the ScaledObject and the queries above, else {_KEDA_LOG}"
    return "give prometheus-adapter the rules of docs/prometheus-adapter.yaml"


def _wants(hpa: Hpa) -> str:
    status = hpa.status
    bounds = f"{hpa.spec.min_replicas} to {hpa.spec.max_replicas} pods"
    return f"wants {status.desired_replicas} of {bounds}, has {status.current_replicas}"


def _said(condition: Condition) -> str:
    why = condition.message or condition.reason
    return f"{condition.status}: {_SELECTOR.sub('', why)}"
