"""Check the pods of a release."""

from collections.abc import Iterator

from orderfleet_cli.doctor.cluster.release import COMPONENT, INSTANCE, Release
from orderfleet_cli.doctor.finding import Finding


def check_pods(release: Release) -> Iterator[Finding]:
    """Check that every service has a Deployment, that its pods are ready, and that all are new."""
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
        found = f"{ready} of {desired} ready"
        # While the pods of a new build are not ready, those of the old one are.
        rollouts = [item.status.condition("Progressing") for item in service.deployments]
        stuck = [rollout.message for rollout in rollouts if rollout.status == "False"]
        ok = ready >= desired and not stuck
        yield Finding(name, ok, "; ".join([found, *stuck]), fix)
