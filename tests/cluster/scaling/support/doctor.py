"""`orderfleet doctor --kubernetes`, as an operator runs it."""

from tests.cluster.support.commands import run
from tests.cluster.support.release import NAME, Release
from tests.images.services import ROOT


def doctor(release: Release, *arguments: str, wanted: int = 0) -> str:
    """Run it on the release; another exit status than `wanted` fails."""
    command = (ROOT / ".venv/bin/orderfleet", "doctor", "--kubernetes")
    where = (f"--namespace={release.namespace.name}", f"--release={NAME}")
    env = release.namespace.cluster.env
    return run(*command, *where, *arguments, seconds=60, env=env, wanted=wanted)
