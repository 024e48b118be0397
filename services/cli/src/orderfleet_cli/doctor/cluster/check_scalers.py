"""Check the scalers: ScaledObjects of KEDA, autoscalers (HPA) of Kubernetes."""

import re
from collections.abc import Iterator
from typing import Final

from orderfleet_cli.doctor.cluster.kubernetes_objects import Condition, Hpa, ScaledObject, Trigger
from orderfleet_cli.doctor.cluster.release import Release, Service
from orderfleet_cli.doctor.finding import Finding

_KEDA_LOG: Final = "see the log of KEDA's operator"
# A selector in a message is longer than the rest of it, and useless to the reader.
_SELECTOR: Final = re.compile(r"/(&LabelSelector\{.*?\{\},?\}|nil)")

# Modes of a service that the chart makes no scaler for.
_NOT_OURS: Final = {"none", "external"}

Problem = tuple[str, str]


def check_mode(release: Release) -> Finding:
    """Check that all services are scaled, but for those that the values leave out, or none."""
    scalers: dict[str, list[str]] = {"KEDA": [], "HPA": [], "another scaler": [], "nobody": []}
    missing = False
    for service in release.services:
        scalers[_scaler(service)].append(service.component)
        by_all = release.scaled and not service.mode
        wanted = service.mode not in _NOT_OURS and (bool(service.mode) or by_all)
        missing = missing or (wanted and not service.scaled)
    modes = [f"{scaler} scales {', '.join(names)}" for scaler, names in scalers.items() if names]
    off = " (autoscaling.mode: none)" if len(scalers["nobody"]) == len(release.services) else ""
    fix = "helm upgrade with autoscaling.mode keda or hpa, which scales all of them"
    return Finding("autoscaling", ok=not missing, found="; ".join(modes) + off, fix=fix)


def check_scalers(release: Release) -> Iterator[Finding]:
    """Check the scalers of each service."""
    for service in release.services:
        for scaled in service.scaled_objects:
            name = f"ScaledObject of {service.component}"
            bounds = f"{scaled.spec.min_replica_count} to {scaled.spec.max_replica_count} pods"
            yield from _findings(name, f"is ready, {bounds}", _of_scaled_object(service, scaled))
        for hpa in service.hpas:
            yield from _findings(f"HPA of {service.component}", _wants(hpa), _of_hpa(service, hpa))
        yield from _check_number(service)


def _findings(name: str, good: str, problems: Iterator[Problem]) -> Iterator[Finding]:
    """Yield a finding for each problem, or a good one if there is none."""
    bad = [Finding(name, ok=False, found=found, fix=fix) for found, fix in problems]
    yield from bad or [Finding(name, ok=True, found=good)]


def _scaler(service: Service) -> str:
    if service.scaled_objects:
        return "KEDA"
    if service.hpas:
        return "HPA"
    return "another scaler" if service.mode == "external" else "nobody"


def _check_number(service: Service) -> Iterator[Finding]:
    """Yield a finding if the number of scalers is wrong: two of them fight over the same pods."""
    name = f"scalers of {service.component}"
    for scalers in (service.scaled_objects, service.hpas):
        if len(scalers) > 1:
            names = ", ".join(scaler.metadata.name for scaler in scalers)
            fix = "two scalers work against each other: remove the one that is not the chart's"
            yield Finding(name, ok=False, found=names, fix=fix)
    paused = any(scaled.pauses for scaled in service.scaled_objects)
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
    if target.name not in {deployment.metadata.name for deployment in service.deployments}:
        fix = f"helm upgrade, or remove the ScaledObject {name}"
        yield f"scales {target.kind} {target.name}, which does not exist", fix
    ready = scaled.status.condition("Ready")
    if ready.status != "True":
        yield f"Ready is {_describe(ready)}", f"see the queries above, else {_KEDA_LOG}"
    fallback = scaled.status.condition("Fallback")
    if fallback.status == "True":
        fix = "KEDA holds the number of pods: fix the trigger that failed"
        yield f"Fallback is {_describe(fallback)}", fix
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
        "if its query above is OK, KEDA's operator must reach autoscaling.prometheus.address, "
        "with autoscaling.prometheus.authentication if it wants one"
    )


def _of_hpa(service: Service, hpa: Hpa) -> Iterator[Problem]:
    able = hpa.status.condition("AbleToScale")
    if able.status != "True":
        fix = f"kubectl describe hpa --namespace {hpa.metadata.namespace} {hpa.metadata.name}"
        yield f"AbleToScale is {_describe(able)}", fix
    active = hpa.status.condition("ScalingActive")
    # At 0 pods the HPA is off: KEDA alone starts the first pod.
    if active.status != "True" and active.reason != "ScalingDisabled":
        yield f"ScalingActive is {_describe(active)}", _fix_of_metrics(service)
    values = [metric for metric in hpa.status.current_metrics or [] if metric.get("type")]
    number = len(hpa.spec.metrics)
    if active.status == "True" and len(values) < number:
        yield f"{len(values)} of {number} metrics have a value", _fix_of_metrics(service)
    # ScalingLimited is stale unless the HPA is active.
    limited = hpa.status.condition("ScalingLimited")
    if active.status == "True" and limited.status == "True" and limited.reason == "TooManyReplicas":
        found = f"wants more than {hpa.spec.max_replicas} pods"
        yield found, f"raise {service.values}.autoscaling.maxReplicas"


def _fix_of_metrics(service: Service) -> str:
    if service.scaled_objects:
        return f"see the ScaledObject and the queries above, else {_KEDA_LOG}"
    if not service.external_metrics:
        return "install metrics-server, which serves the pods' CPU"
    return "give prometheus-adapter the rules of docs/prometheus-adapter.yaml"


def _wants(hpa: Hpa) -> str:
    status = hpa.status
    bounds = f"{hpa.spec.min_replicas} to {hpa.spec.max_replicas} pods"
    return f"wants {status.desired_replicas} of {bounds}, has {status.current_replicas}"


def _describe(condition: Condition) -> str:
    message = condition.message or condition.reason
    return f"{condition.status}: {_SELECTOR.sub('', message)}"
