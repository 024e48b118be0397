"""What the runbooks ask of kubectl and helm, of a release that runs; tests/e2e has the rest."""

from dataclasses import dataclass
from typing import Final

import pytest

from orderfleet_cli.local.processes import executable
from tests.cluster.support.commands import run, wait_until
from tests.cluster.support.release import CHART, NAME, Release
from tests.cluster.support.steps import Steps
from tests.runbooks import Command, Place, commands

pytestmark = pytest.mark.timeout(600)

_SECONDS: Final = 90.0
_END: Final = "import os, signal; os.kill(1, signal.SIGTERM)"
# What a cluster may be without, and what it says then.
_ADD_ONS: Final = ("Metrics API not available", "doesn't have a resource type")


@dataclass(frozen=True)
class _Reader:
    release: Release
    values: dict[str, str]

    def run(self, command: Command) -> str:
        text = command.filled(self.values).replace(
            "orderfleet doctor", f"{executable('orderfleet')} doctor"
        )
        # A log here has no fault, and helm's commands would change the release under the next test.
        text = text.partition(" | grep ")[0]
        text += " --dry-run" if text.startswith("helm ") else ""
        script = f"{text} 2>&1; echo status=$?"
        return run("bash", "-c", script, seconds=_SECONDS, env=self.release.namespace.cluster.env)


def test_every_command_of_kubectl_and_helm(release: Release, steps: Steps) -> None:
    kubectl = release.namespace.kubectl
    with steps.step("the runbooks' commands") as step:
        (pod, *_) = release.namespace.get("pods", component="order-worker")
        name = pod["metadata"]["name"]
        before = _restarts(release, name)
        # `logs --previous` is about a pod whose process has ended once.
        kubectl("exec", name, "--", "python", "-c", _END)
        wait_until("a restart", lambda: _restarts(release, name), lambda n: n > before, _SECONDS)
        (job, *_) = kubectl(
            "get", "jobs", "--selector=app.kubernetes.io/component=migrate", "--output=name"
        ).split()
        values = {
            "NAMESPACE": release.namespace.name,
            "RELEASE": NAME,
            "CHART": str(CHART),
            "POD": name,
            "DEPLOYMENT": f"{NAME}-shipping-worker",
            "ORDER_WORKER": f"{NAME}-order-worker",
            "JOB": job.partition("/")[2],
            "N": "2",
        }
        reader = _Reader(release, values)
        without = 0
        # What changes something comes last: the pod would be gone.
        for command in sorted(commands(Place.CLUSTER, Place.LOG), key=_changes):
            said = reader.run(command)
            answer, _, status = said.rpartition("status=")
            assert answer.strip(), command
            assert "Traceback" not in answer, said
            if any(word in answer for word in _ADD_ONS):
                without += 1
                continue
            # What is not well in this cluster is a doctor's status 1.
            wanted = {"0", "1"} if " doctor " in command.text else {"0"}
            assert status.strip() in wanted, (command, said)
        for component in ("order-worker", "shipping-worker"):
            kubectl("rollout", "status", f"deploy/{NAME}-{component}", seconds=_SECONDS)
        step.saw(commands=len(commands(Place.CLUSTER, Place.LOG)), without_an_add_on=without)


def _restarts(release: Release, pod: str) -> int:
    path = "--output=jsonpath={.status.containerStatuses[0].restartCount}"
    return int(release.namespace.kubectl("get", "pod", pod, path))


def _changes(command: Command) -> bool:
    return any(verb in command.text for verb in (" delete ", " restart ", " scale "))
