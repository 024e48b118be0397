"""Jobs that a person starts from a CronJob of the release."""

import json
from typing import Final

from tests.cluster.support.cluster import Json, Namespace
from tests.cluster.support.commands import wait_until
from tests.cluster.support.release import NAME

_SECONDS: Final = 300.0


def start_backup(namespace: Namespace, name: str) -> None:
    """Start a backup, as docs/backup.md has it."""
    namespace.kubectl("create", "job", f"--from=cronjob/{NAME}-backup", name)


def until_ended(namespace: Namespace, name: str) -> str:
    """Wait for the end of a Job; return Complete or Failed."""

    def ended() -> str:
        job: Json = json.loads(namespace.kubectl("get", "job", name, "--output=json"))
        conditions = job["status"].get("conditions", ())
        types = [each["type"] for each in conditions if each["status"] == "True"]
        return next((each for each in types if each in {"Complete", "Failed"}), "")

    return wait_until(f"end of {name}", ended, bool, _SECONDS)


def log_of(namespace: Namespace, name: str, container: str) -> list[str]:
    """Return the lines of a container of the Job's only pod."""
    selector = f"--selector=job-name={name}"
    (pod,) = namespace.kubectl("get", "pods", selector, "--output=name").split()
    return namespace.kubectl("logs", pod, f"--container={container}").splitlines()
