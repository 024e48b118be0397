"""Build, save and run images by docker, podman or buildah."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.images.services import ROOT, Service

REGISTRY: Final = os.environ.get("REGISTRY") or "docker.io/library"
_SECONDS: Final = 600
# `buildah run` has no read-only root with the isolation that works everywhere.
_READ_ONLY: Final = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && exec "$@"'

Outcome = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class Builder:
    name: str

    def image(self, service: Service, tag: str) -> str:
        return f"{REGISTRY}/{service.program}:{tag}"

    def build(self, context: Path, service: Service, tag: str) -> str:
        """Build with services/images.sh and the caller's environment."""
        environment = {"BUILDER": self.name, "IMAGES": service.folder, "TAG": tag}
        built = _call(context / "services/images.sh", env={**os.environ, **environment})
        assert built.returncode == 0, built.stdout + built.stderr
        return self.image(service, tag)

    def save(self, image: str, path: Path) -> None:
        if self.name == "buildah":
            saved = _call("buildah", "push", "--quiet", image, f"docker-archive:{path}:{image}")
        else:
            saved = _call(self.name, "save", "--output", path, image)
        assert saved.returncode == 0, f"no image {image}, run `make images`: {saved.stderr}"

    def remove(self, image: str) -> None:
        _call(self.name, "rmi", image)

    def run(self, image: str, config: Mapping[str, Any], *command: str, **env: str) -> Outcome:
        """Run a command with the image's settings, a read-only root and no network."""
        if self.name == "buildah":
            return _run_by_buildah(image, config, command, env)
        program, *arguments = command
        settings = [part for name in env for part in ("--env", f"{name}={env[name]}")]
        alone = ["--rm", "--read-only", "--network", "none", "--user", str(config["User"])]
        options = [*alone, *settings, "--entrypoint", program]
        return _call(self.name, "run", *options, image, *arguments)


def _run_by_buildah(
    image: str, config: Mapping[str, Any], command: tuple[str, ...], env: Mapping[str, str]
) -> Outcome:
    chroot = shutil.which("chroot")
    assert os.geteuid() == 0, "BUILDER=buildah runs images by chroot, which needs root"
    assert chroot is not None
    container = _call("buildah", "from", image).stdout.strip()
    try:
        root = _call("buildah", "mount", container).stdout.strip()
        settings = [*config["Env"], "HOME=/", *(f"{name}={env[name]}" for name in env)]
        user = ["env", "-i", *settings, chroot, f"--userspec={config['User']}", root]
        alone = ["unshare", "--mount", "--net", "sh", "-c", _READ_ONLY, "sh", root]
        return _call(*alone, *user, *command)
    finally:
        _call("buildah", "rm", container)


def _call(*command: str | Path, env: Mapping[str, str] | None = None) -> Outcome:
    return subprocess.run(
        command,
        check=False,
        cwd=ROOT,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
    )
