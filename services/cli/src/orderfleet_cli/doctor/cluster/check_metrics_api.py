"""Checks of what serves the metrics to the autoscalers: KEDA, or an adapter of Prometheus."""

from typing import Final

from orderfleet_cli.doctor.cluster.kubernetes_objects import (
    ApiService,
    Deployment,
    ServiceReference,
)
from orderfleet_cli.doctor.cluster.release import Listed, Release, decode
from orderfleet_cli.doctor.finding import Finding
from orderfleet_cli.kubectl import Kubectl, KubectlError

_API: Final = "v1beta1.external.metrics.k8s.io"
_PATH: Final = f"/apis/apiregistration.k8s.io/v1/apiservices/{_API}"
_FIX_OF_HPA: Final = "install prometheus-adapter with docs/prometheus-adapter.yaml"
_OPERATOR: Final = "app.kubernetes.io/name=keda-operator"


async def check_adapter(kubectl: Kubectl, release: Release) -> list[Finding]:
    """Check that the API of external metrics is served, by KEDA if the release has its objects."""
    if not release.scaled:
        return []
    by_keda = any(service.scaled_objects for service in release.services)
    name = "external metrics API"
    fix = "install KEDA 2.21" if by_keda else _FIX_OF_HPA
    try:
        found = decode(await kubectl.raw(_PATH), ApiService)
    except KubectlError as error:
        if error.not_found:
            return [Finding(name, ok=False, found="nobody serves it", fix=fix)]
        return [_refused(name, error)]
    service = found.spec.service or ServiceReference("the API server", "")
    who = "/".join(filter(None, [service.namespace, service.name]))
    available = found.status.condition("Available")
    if available.status != "True":
        said = f"{who} does not serve it: {available.message}"
        checks = [Finding(name, ok=False, found=said, fix=f"see the pods behind {who}")]
    elif by_keda != ("keda" in service.name):
        # KEDA tells its own autoscalers only, and no adapter knows KEDA's metrics.
        wanted = "KEDA" if by_keda else "prometheus-adapter"
        mode = "autoscaling.mode: hpa" if by_keda else "autoscaling.mode: keda"
        fix = f"one has it in a cluster: install {wanted} instead, or set {mode}"
        return [Finding(name, ok=False, found=f"{who} serves it, not {wanted}", fix=fix)]
    else:
        checks = [Finding(name, ok=True, found=f"{who} serves it", fix=fix)]
    return [*checks, await _operator(kubectl, service.namespace)] if by_keda else checks


async def _operator(kubectl: Kubectl, namespace: str) -> Finding:
    """Check KEDA's operator, which is where its API is."""
    name = "KEDA's operator"
    inside = f"--namespace={namespace}"
    try:
        answer = await kubectl.answer(
            "get", "deployments", f"--selector={_OPERATOR}", inside, "--output=json"
        )
    except KubectlError as error:
        return _refused(name, error)
    found = decode(answer, Listed[Deployment]).items
    ready = sum(one.status.ready_replicas for one in found)
    said = f"{ready} ready in namespace {namespace}"
    fix = f"kubectl describe deployments --namespace {namespace}"
    return Finding(name, ready > 0, said, fix)


def _refused(name: str, error: KubectlError) -> Finding:
    """Return the check of what kubectl does not tell: it may be well if we may not see it."""
    ok = None if error.forbidden else False
    return Finding(name, ok=ok, found=str(error), fix="ask as somebody who may see it")
