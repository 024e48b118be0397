"""Check that each worker's build has passed its gate."""

from typing import Final

from orderfleet_cli.doctor.cluster.kubernetes_objects import Container, Job
from orderfleet_cli.doctor.cluster.release import (
    COMPONENT,
    Listed,
    Release,
    Service,
    decode,
    get,
    unlisted,
)
from orderfleet_cli.doctor.finding import Finding
from orderfleet_cli.kubectl import Kubectl, KubectlError

_GATES: Final = {"order-worker": "order-gate", "shipping-worker": "shipping-gate"}


async def check_gates(kubectl: Kubectl, release: Release) -> list[Finding]:
    """Check the newest gate of each worker's image.

    There is nothing to say of an image without one: versions may be off, or the finished Job
    deleted. A gate of another image has judged another build.
    """
    gates = f" in ({','.join(_GATES.values())})"
    try:
        answer = await get(kubectl, "jobs", release, gates)
    except KubectlError as error:
        return [unlisted("gates", error)]
    jobs = decode(answer, Listed[Job]).items
    findings = []
    for service in release.services:
        own = [job for job in jobs if _judges(job, service)]
        if own:
            newest = max(own, key=lambda job: job.metadata.creation_timestamp)
            findings.append(await _check(kubectl, release, service.component, newest))
    return findings


async def _check(kubectl: Kubectl, release: Release, component: str, job: Job) -> Finding:
    name = f"gate of {component}"
    if job.status.condition("Complete").status == "True":
        return Finding(name, ok=True, found="passed")
    if job.status.condition("Failed").status != "True":
        return Finding(name, ok=True, found="runs: the new build is not current yet")
    inside = f"--namespace={release.namespace}"
    command = f"kubectl logs job/{job.metadata.name} {inside}"
    try:
        log = await kubectl.answer("logs", f"job/{job.metadata.name}", inside, "--tail=1")
        reason = log.decode(errors="replace").strip()
    except KubectlError as error:
        reason = str(error)
    return Finding(
        name,
        ok=False,
        found=f"refused the build, and the build before serves: {reason}",
        fix=f"helm rollback {release.name}, or deploy another build (log: {command})",
    )


def _judges(job: Job, service: Service) -> bool:
    """Return whether a gate judges the image that the service's Deployment has now."""
    component = job.metadata.labels.get(COMPONENT)
    if component is None or component != _GATES.get(service.component):
        return False
    images = {
        image
        for deployment in service.deployments
        for image in _images(deployment.spec.template.spec.containers)
    }
    return not images.isdisjoint(_images(job.spec.template.spec.containers))


def _images(containers: list[Container]) -> set[str]:
    return {container.image for container in containers}
