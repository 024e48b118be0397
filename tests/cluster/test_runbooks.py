"""The runbooks' commands of kubectl and helm, on a release; tests/e2e runs the rest."""

from dataclasses import dataclass
from typing import Final

import pytest

from orderfleet_cli.local.processes import executable
from tests.cluster.conftest import ReleaseWith
from tests.cluster.support import images
from tests.cluster.support.commands import run, wait_until
from tests.cluster.support.release import CHART, NAME, Release
from tests.cluster.support.steps import Steps
from tests.support.runbooks import Command, Place, commands

pytestmark = pytest.mark.timeout(600)

_SECONDS: Final = 90.0
_END: Final = "import os, signal; os.kill(1, signal.SIGTERM)"
# What kubectl says where the cluster lacks an add-on.
_ADD_ONS: Final = ("Metrics API not available", "doesn't have a resource type")


@dataclass(frozen=True)
class _Reader:
    release: Release
    values: dict[str, str]

    def run(self, command: Command) -> tuple[int, str]:
        """Return the exit status and the output."""
        text = command.filled(self.values).replace(
            "orderfleet doctor", f"{executable('orderfleet')} doctor"
        )
        # The fault is not in this log, and helm must leave the release to the next test.
        text = text.partition(" | grep ")[0]
        text += " --dry-run" if text.startswith("helm ") else ""
        script = f"{text} 2>&1; echo status=$?"
        said = run("bash", "-c", script, seconds=_SECONDS, env=self.release.namespace.cluster.env)
        answer, _, status = said.rpartition("status=")
        return int(status), answer.strip()


@pytest.fixture
def upgraded(shared: Release, release_with: ReleaseWith) -> Release:
    """The shared release with whatever values, and a revision to roll back to."""
    release = shared if shared.revisions else release_with(images.values(images.OLD))
    if len(release.revisions) == 1:
        release.upgrade(release.revisions[-1])
    return release


def test_every_command_of_kubectl_and_helm(upgraded: Release, steps: Steps) -> None:
    kubectl = upgraded.namespace.kubectl
    with steps.step("the runbooks' commands of kubectl and helm") as step:
        (pod, *_) = upgraded.namespace.get("pods", component="order-worker")
        name = pod["metadata"]["name"]
        before = _restarts(upgraded, name)
        # `logs --previous` needs a container that has restarted.
        kubectl("exec", name, "--", "python", "-c", _END)
        wait_until("a restart", lambda: _restarts(upgraded, name), lambda n: n > before, _SECONDS)
        (job, *_) = kubectl(
            "get", "jobs", "--selector=app.kubernetes.io/component=migrate", "--output=name"
        ).split()
        values = {
            "NAMESPACE": upgraded.namespace.name,
            "RELEASE": NAME,
            "CHART": str(CHART),
            "POD": name,
            "DEPLOYMENT": f"{NAME}-shipping-worker",
            "ORDER_WORKER": f"{NAME}-order-worker",
            "JOB": job.partition("/")[2],
            "SECRET": f"{NAME}-postgres",
            "N": "2",
        }
        reader, lacking = _Reader(upgraded, values), 0
        # Commands that change something come last: they replace the pod.
        for command in sorted(commands(Place.CLUSTER, Place.LOG), key=_changes):
            status, answer = reader.run(command)
            assert answer, command
            assert "Traceback" not in answer, answer
            if any(words in answer for words in _ADD_ONS):
                lacking += 1
                continue
            # The doctor's status 1: something is not well in this cluster.
            allowed = {0, 1} if " doctor " in command.text else {0}
            assert status in allowed, f"{command}: {status}: {answer}"
        for component in ("order-worker", "shipping-worker"):
            kubectl("rollout", "status", f"deploy/{NAME}-{component}", seconds=_SECONDS)
        step.saw(commands=len(commands(Place.CLUSTER, Place.LOG)), without_an_add_on=lacking)


def _restarts(release: Release, pod: str) -> int:
    path = "--output=jsonpath={.status.containerStatuses[0].restartCount}"
    return int(release.namespace.kubectl("get", "pod", pod, path))


def _changes(command: Command) -> bool:
    return any(verb in command.text for verb in (" delete ", " restart ", " scale "))
