"""Check the API of external metrics, served by KEDA or by an adapter of Prometheus."""

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


async def check_metrics_api(kubectl: Kubectl, release: Release) -> list[Finding]:
    """Check that the API of external metrics is served: by KEDA if the release uses KEDA."""
    if not any(service.external_metrics for service in release.services):
        return []
    by_keda = any(service.scaled_objects for service in release.services)
    name = "external metrics API"
    fix = "install KEDA 2.21" if by_keda else _FIX_OF_HPA
    try:
        api = decode(await kubectl.raw(_PATH), ApiService)
    except KubectlError as error:
        if error.not_found:
            return [Finding(name, ok=False, found="not served", fix=fix)]
        return [_unreadable(name, error)]
    service = api.spec.service or ServiceReference("the API server", "")
    server = "/".join(filter(None, [service.namespace, service.name]))
    available = api.status.condition("Available")
    if available.status != "True":
        found = f"{server} does not serve it: {available.message}"
        checks = [Finding(name, ok=False, found=found, fix=f"see the pods behind {server}")]
    elif by_keda != ("keda" in service.name):
        # KEDA serves its own autoscalers only, and no adapter has KEDA's metrics.
        expected = "KEDA" if by_keda else "prometheus-adapter"
        mode = "autoscaling.mode: hpa" if by_keda else "autoscaling.mode: keda"
        fix = f"a cluster has one server of this API: install {expected} instead, or set {mode}"
        return [Finding(name, ok=False, found=f"{server} serves it, not {expected}", fix=fix)]
    else:
        checks = [Finding(name, ok=True, found=f"{server} serves it", fix=fix)]
    return [*checks, await _operator(kubectl, service.namespace)] if by_keda else checks


async def _operator(kubectl: Kubectl, namespace: str) -> Finding:
    """Check KEDA's operator, in the namespace of its API server."""
    name = "KEDA's operator"
    inside = f"--namespace={namespace}"
    try:
        answer = await kubectl.answer(
            "get", "deployments", f"--selector={_OPERATOR}", inside, "--output=json"
        )
    except KubectlError as error:
        return _unreadable(name, error)
    deployments = decode(answer, Listed[Deployment]).items
    ready = sum(deployment.status.ready_replicas for deployment in deployments)
    found = f"{ready} ready in namespace {namespace}"
    fix = f"kubectl describe deployments --namespace {namespace}"
    return Finding(name, ready > 0, found, fix)


def _unreadable(name: str, error: KubectlError) -> Finding:
    """Return the finding for an error of kubectl; a missing permission is no failure."""
    ok = None if error.forbidden else False
    return Finding(name, ok=ok, found=str(error), fix="run this as a user who can read it")
