"""Checks of the pods of a release."""

from collections.abc import Iterator

from orderfleet_cli.doctor.cluster.release import COMPONENT, INSTANCE, Release
from orderfleet_cli.doctor.finding import Finding


def check_pods(release: Release) -> Iterator[Finding]:
    """Check that every service has its Deployment, and that its pods are ready."""
    for service in release.services:
        name = f"pods of {service.component}"
        if not service.deployments:
            fix = f"install it again: helm upgrade {release.name}"
            yield Finding(name, ok=False, found="no Deployment", fix=fix)
            continue
        wanted = sum(one.spec.replicas for one in service.deployments)
        ready = sum(one.status.ready_replicas for one in service.deployments)
        fix = (
            f"kubectl describe pods --namespace {release.namespace} "
            f"--selector {INSTANCE}={release.name},{COMPONENT}={service.component}"
        )
        yield Finding(name, ready >= wanted, f"{ready} of {wanted} ready", fix)
