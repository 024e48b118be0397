"""Check the pods of a release."""

from collections.abc import Iterator

from orderfleet_cli.doctor.cluster.release import COMPONENT, INSTANCE, Release
from orderfleet_cli.doctor.finding import Finding


def check_pods(release: Release) -> Iterator[Finding]:
    """Check that every service has a Deployment, and that its pods are ready."""
    for service in release.services:
        name = f"pods of {service.component}"
        if not service.deployments:
            fix = f"helm upgrade {release.name}"
            yield Finding(name, ok=False, found="no Deployment", fix=fix)
            continue
        desired = sum(deployment.spec.replicas for deployment in service.deployments)
        ready = sum(deployment.status.ready_replicas for deployment in service.deployments)
        fix = (
            f"kubectl describe pods --namespace {release.namespace} "
            f"--selector {INSTANCE}={release.name},{COMPONENT}={service.component}"
        )
        yield Finding(name, ready >= desired, f"{ready} of {desired} ready", fix)
