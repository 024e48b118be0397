"""Programs that a release runs, and what git says of the tree."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

SERVICES: Final = ("api", "order_worker", "shipping_worker")


class ReleaseError(Exception):
    """What is wrong, in a line for the person who releases."""


def run(
    *command: str | Path, cwd: Path, stdin: str | None = None, env: Mapping[str, str] | None = None
) -> str:
    """Run a program, with more variables, and return what it wrote to stdout.

    Raises:
        ReleaseError: it is not installed, or it failed.
    """
    return _run(command, cwd, stdin, env).stdout


def run_for_all(*command: str | Path, cwd: Path) -> str:
    """Run a program and return what it wrote to stdout and stderr.

    Raises:
        ReleaseError: it is not installed, or it failed.
    """
    done = _run(command, cwd)
    return done.stdout + done.stderr


def run_in_sight(*command: str | Path, cwd: Path, env: Mapping[str, str]) -> None:
    """Run a program, with more variables, whose output people follow.

    Raises:
        ReleaseError: it failed.
    """
    if subprocess.run(command, check=False, cwd=cwd, env={**os.environ, **env}).returncode != 0:
        raise ReleaseError(f"{command[0]} failed")


def _run(
    command: Sequence[str | Path],
    cwd: Path,
    stdin: str | None = None,
    env: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    name = str(command[0])
    if shutil.which(name) is None:
        raise ReleaseError(f"{name} is not installed: see docs/releasing.md")
    done = subprocess.run(
        command,
        check=False,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        input=stdin,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        words = " ".join(str(word) for word in command[:3])
        raise ReleaseError(f"{words} failed: {(done.stderr or done.stdout).strip()}")
    return done


def image_name(service: str) -> str:
    """Return the name of a service's image and distribution."""
    return f"orderfleet-{service.replace('_', '-')}"


def tag_of(version: str) -> str:
    """Return the name of a release's tag."""
    return f"v{version}"


def commit_of(root: Path, name: str = "HEAD") -> str:
    """Return the commit that a name means."""
    return run("git", "rev-parse", "--verify", f"{name}^{{commit}}", cwd=root).strip()


def commit_time(root: Path, commit: str) -> str:
    """Return the time of a commit, by RFC 3339 in UTC."""
    seconds = int(run("git", "show", "--no-patch", "--format=%ct", commit, cwd=root))
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def require_clean(root: Path) -> None:
    """Refuse a tree with changes that no commit has.

    Raises:
        ReleaseError: there are some.
    """
    if changes := run("git", "status", "--porcelain", cwd=root).splitlines():
        raise ReleaseError(f"the tree has {len(changes)} changes that no commit has: {changes[0]}")


def has_tag(root: Path, tag: str) -> bool:
    """Return whether the repository has a tag."""
    return bool(run("git", "tag", "--list", tag, cwd=root))
